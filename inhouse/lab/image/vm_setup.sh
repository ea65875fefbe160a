#!/bin/sh
# Runs inside the root file system of a virtual lab host, after setup.sh, and adds what a real kernel makes possible.
# $1: the suite. $2: `-cloud` or nothing, the kernel's flavour. $3: packages for the repository on the disk.
set -eu
suite=$1 flavour=$2 kept=$3

systemctl unmask systemd-udevd.service >/dev/null 2>&1
systemctl enable systemd-networkd.service >/dev/null 2>&1
systemctl mask systemd-networkd-wait-online.service >/dev/null 2>&1
# What these do at every boot takes longest without KVM, and nothing on a lab host waits for it.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer >/dev/null 2>&1
printf '[Match]\nName=en*\n\n[Network]\nAddress=10.0.2.15/24\n' >/etc/systemd/network/lab.network
echo 'LABEL=inhouse-lab / ext4 errors=remount-ro 0 1' >/etc/fstab

# What belongs to one host (its name, its keys, its pretended hardware) arrives as an archive from the machine below.
cat >/etc/systemd/system/inhouse-lab-host.service <<'UNIT'
[Unit]
Description=What makes this lab host different from others
DefaultDependencies=no
ConditionPathExists=!/etc/inhouse-lab/unpacked
RequiresMountsFor=/
After=systemd-remount-fs.service
Before=inhouse-lab-hardware.service ssh.service sysinit.target

[Service]
Type=oneshot
ExecStartPre=/sbin/modprobe qemu_fw_cfg
ExecStart=/bin/tar --extract --directory=/ --file=/sys/firmware/qemu_fw_cfg/by_name/opt/inhouse-lab/files/raw
ExecStart=/bin/hostname --file /etc/hostname
ExecStart=/bin/touch /etc/inhouse-lab/unpacked

[Install]
WantedBy=sysinit.target
UNIT
systemctl enable inhouse-lab-host.service >/dev/null 2>&1

# A newer kernel than the one installed, and whatever a role installs from Debian, lies in a repository on the disk:
# a virtual lab host has no network but the way in by SSH.
mkdir -p /srv/debian
cd /srv/debian
cat >/etc/apt/sources.list.d/newer.sources <<SOURCES
Types: deb
URIs: http://deb.debian.org/debian
Suites: $suite-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
apt-get -qq update
apt-get -qq install --no-install-recommends --download-only --target-release "$suite-backports" \
    "linux-image$flavour-amd64" "linux-headers$flavour-amd64"
# shellcheck disable=SC2086  # a list of packages, meant to be split
{
    apt-get -qq install --no-install-recommends --download-only $kept
    apt-get -qq -o APT::Sandbox::User=root download $kept
}
mv --no-clobber /var/cache/apt/archives/*.deb .
apt-ftparchive packages . >Packages
apt-get clean
rm -f /etc/apt/sources.list.d/* /var/lib/apt/lists/*_*
echo 'deb [trusted=yes] file:/srv/debian ./' >/etc/apt/sources.list.d/debian.list
apt-get -qq update
