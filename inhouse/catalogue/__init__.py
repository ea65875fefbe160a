"""What is known about models, GPUs and releases: data files beside a typed loader, every number with its source."""
