"""The inventory that `inhouse up` gives to pyinfra; executed by pyinfra, never imported."""

from inhouse.pyinfra_hosts import hosts_of

hosts = hosts_of(__file__)
