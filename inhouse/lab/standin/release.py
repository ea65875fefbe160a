"""The release this program says it is; overwritten when a release archive is built."""

VERSION = "0.0.0"
