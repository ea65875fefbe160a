#!/bin/sh
# Runs once inside the root file system of a lab image and makes it look like a freshly installed server:
# a user `admin` who may use sudo, sshd with keys only, all of Debian's components, apt's lists at hand.
# $1: the suite (bookworm, trixie). $2: packages to keep ready in apt's own cache, so that installing them is fast.
set -eu
suite=$1 ready=$2

useradd --create-home --shell /bin/bash --groups sudo admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin
chmod 440 /etc/sudoers.d/admin
install -d -m 700 -o admin -g admin /home/admin/.ssh

# Host keys are made per host, and with them the lab's known-hosts file.
rm -f /etc/ssh/ssh_host_*
printf 'PasswordAuthentication no\nHostKey /etc/ssh/ssh_host_ed25519_key\n' >/etc/ssh/sshd_config.d/lab.conf

# No keyboard, no screen, and a machine id of its own for each host at first boot.
systemctl mask console-getty.service getty@tty1.service systemd-udevd.service >/dev/null 2>&1
: >/etc/machine-id

rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/docker-*
cat >/etc/apt/sources.list.d/debian.sources <<SOURCES
Types: deb
URIs: http://deb.debian.org/debian
Suites: $suite $suite-updates
Components: main contrib non-free non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: $suite-security
Components: main contrib non-free non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
apt-get -qq update
# shellcheck disable=SC2086  # a list of packages, meant to be split
apt-get -qq install --no-install-recommends --download-only $ready

# What pretends to be hardware and cannot be mounted by the engine is laid by this unit at every boot.
install -d /etc/inhouse-lab
cat >/etc/systemd/system/inhouse-lab-hardware.service <<'UNIT'
[Unit]
Description=Pretended hardware of this lab host
DefaultDependencies=no
ConditionPathExists=/etc/inhouse-lab/hardware.sh
# Two ldconfig at once trip over each other's cache: systemd's own runs at a first boot.
After=local-fs.target ldconfig.service
Before=basic.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/inhouse-lab/hardware.sh

[Install]
WantedBy=basic.target
UNIT
systemctl enable inhouse-lab-hardware.service >/dev/null 2>&1
