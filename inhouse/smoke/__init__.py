"""The smoke tests: what must hold on a host that serves. Read-only, shipped with the package."""
