"""pyinfra deploys: what the service on a host is made of."""
