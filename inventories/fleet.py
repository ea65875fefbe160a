"""For plain pyinfra: pyinfra inventories/fleet.py deploy.py"""

from inhouse.pyinfra_hosts import hosts_of

hosts = hosts_of(__file__)
