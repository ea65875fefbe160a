"""For plain pyinfra: pyinfra inventories/homelab.py deploy.py"""

from inhouse.pyinfra_hosts import hosts_of

hosts = hosts_of(__file__)
