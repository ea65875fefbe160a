#!/bin/sh
# Prints what is true on this host. Changes nothing, needs no package beyond a base system, always exits 0.
#
# Usage: sh probe.sh MODELS_DIR PREFIX OLLAMA OPEN_WEBUI FLEET CERTIFICATE
#   MODELS_DIR          folder where models go (it need not exist yet)
#   PREFIX              folder of the programs that inhouse installs
#   OLLAMA, OPEN_WEBUI  links to the releases that run
#   FLEET, CERTIFICATE  files: who manages this host, and what its proxy serves
#
# Output: sections. A line "@NAME [KEY=VALUE…]" opens one; below it stands what a command or a file said, as it
# said it (only a "@" at the start of such a line gets a space before it). "@end" closes the output: without it the
# connection was cut. Nothing is decided here; inhouse/facts/parse.py reads it.
#
# Plain POSIX sh: dash, bash and busybox ash run it.
#
# Functions are called by way of section().
# shellcheck disable=SC2329

LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wsl/lib:/snap/bin
export LC_ALL PATH

# section HEADER COMMAND…: a section whose body is what the command prints.
section() {
    printf '@%s\n' "$1"
    shift
    "$@" 2>/dev/null | body
}

# The newline at the end closes a last line that has none; the parser drops the empty line it otherwise makes.
body() {
    sed 's/^@/ @/'
    printf '\n'
}

# limited SECONDS COMMAND…: ends a command that hangs. Status 124 or 143 says that it did.
limited() {
    seconds=$1
    shift
    if timeout 1 true 2>/dev/null; then
        timeout "$seconds" "$@"
        return
    fi
    "$@" &
    command_pid=$!
    # Its output goes nowhere, or the sleep that outlives it would hold our reader's pipe open.
    (sleep "$seconds" && kill "$command_pid") >/dev/null 2>&1 &
    watchdog_pid=$!
    wait "$command_pid"
    status=$?
    kill "$watchdog_pid" 2>/dev/null
    return "$status"
}

system() {
    uname -s
    uname -r
    uname -m
}

os_release() {
    cat /etc/os-release || cat /usr/lib/os-release
}

virtualization() {
    if command -v systemd-detect-virt >/dev/null; then
        echo "systemd-detect-virt: $(systemd-detect-virt)"
    fi
    tr '\0' '\n' </proc/1/environ | sed -n 's/^container=/container: /p'
    for marker in /.dockerenv /run/.containerenv; do
        [ ! -e "$marker" ] || echo "marker: $marker"
    done
    echo "kernel: $(cat /proc/version)"
    echo "dmi: $(cat /sys/class/dmi/id/sys_vendor) / $(cat /sys/class/dmi/id/product_name)"
}

# One flags line is enough: 128 threads repeat the same one.
cpu() {
    awk -F: '{ key = $1; sub(/[ \t]+$/, "", key) }
        key ~ /^(processor|physical id|core id)$/ { print }
        key ~ /^(model name|flags|Features|Model)$/ && !seen[key]++ { print }' /proc/cpuinfo
    # ARM kernels do not name the processor; lscpu knows some.
    grep -q '^model name' /proc/cpuinfo || lscpu | grep '^Model name'
}

memory() {
    grep -E '^(MemTotal|MemAvailable|MemFree|Buffers|Cached):' /proc/meminfo
}

# The file system of a folder, or of the nearest parent that exists.
disk() {
    folder=$1
    while [ ! -d "$folder" ] && [ "$folder" != / ]; do
        folder=$(dirname "$folder")
    done
    limited 10 df -Pk "$folder"
}

# SLOT VENDOR DEVICE CLASS DRIVER of display devices (class 03) and processing accelerators (class 12).
display_devices() {
    for device in /sys/bus/pci/devices/*; do
        class='' vendor='' id=''
        read -r class <"$device/class"
        case $class in
            0x03* | 0x12*) ;;
            *) continue ;;
        esac
        read -r vendor <"$device/vendor"
        read -r id <"$device/device"
        driver=$(readlink "$device/driver")
        echo "${device##*/} $vendor $id $class ${driver##*/}"
    done
}

nvidia_module() {
    cat /sys/module/nvidia/version || cat /proc/driver/nvidia/version
}

# What the names that programs load point at: the file's name ends with the version.
nvidia_libraries() {
    {
        ldconfig -p | sed -n 's/.*=> //p'
        for library in /usr/lib/*/libcuda.so.1 /usr/lib64/libcuda.so.1 /usr/lib/*/libnvidia-ml.so.1 \
            /usr/lib64/libnvidia-ml.so.1 /usr/lib/libcuda.so.1 /usr/lib/libnvidia-ml.so.1; do
            [ ! -e "$library" ] || echo "$library"
        done
    } | grep -E '/lib(cuda|nvidia-ml)\.so\.1$' | while read -r library; do
        readlink -f "$library"
    done
}

query_nvidia() {
    limited 20 nvidia-smi "$1" --format=csv,noheader,nounits 2>&1
}

# One field that a driver does not know fails the whole query with status 2; these are known to all since 2016.
nvidia_smi() {
    command -v nvidia-smi >/dev/null || return 0
    known=index,name,uuid,pci.bus_id,memory.total,memory.free,driver_version,memory.used
    fields=$known,compute_cap,mig.mode.current
    output=$(query_nvidia "--query-gpu=$fields")
    status=$?
    if [ "$status" -eq 2 ]; then
        fields=$known
        output=$(query_nvidia "--query-gpu=$fields")
        status=$?
    fi
    echo "@nvidia-smi status=$status fields=$fields"
    printf '%s\n' "$output" | body
    # 14: a damaged infoROM; the GPU may well work. With any other status the next call would fail or hang likewise.
    case $status in
        0 | 14) ;;
        *) return 0 ;;
    esac
    nvidia_processes
    case $output in
        *Enabled*)
            section nvidia-list limited 20 nvidia-smi -L
            section nvidia-slices nvidia_slices
            ;;
    esac
}

# Programs that compute on a GPU, and the cgroup of each: what Ollama itself holds is not taken from it.
nvidia_processes() {
    # The name comes last: it may hold commas.
    output_of_apps=$(query_nvidia --query-compute-apps=pid,gpu_uuid,used_memory,process_name)
    echo "@nvidia-processes status=$?"
    printf '%s\n' "$output_of_apps" | body
    echo '@nvidia-cgroups'
    printf '%s\n' "$output_of_apps" | sed -n 's/^\([0-9][0-9]*\),.*/\1/p' | sort -u | while read -r pid; do
        echo "$pid $(tr '\n' ' ' <"/proc/$pid/cgroup")"
    done 2>/dev/null | body
}

# Of all that -q -x prints only the slices of each GPU; their UUIDs are in -L alone.
nvidia_slices() {
    limited 20 nvidia-smi -q -x |
        sed -n -e '/<gpu id=/p' -e '/<mig_devices>/,/<\/mig_devices>/p' -e '/<\/gpu>/p'
}

# SLOT KEY VALUE of each GPU that amdgpu drives; sizes in bytes. Only cards with memory of their own have the last two.
amd_gpus() {
    for device in /sys/bus/pci/devices/*; do
        [ -e "$device/mem_info_vram_total" ] || continue
        for key in product_name mem_info_vram_total mem_info_vram_used mem_info_gtt_total mem_info_vram_vendor board_info; do
            value=''
            read -r value <"$device/$key"
            [ -z "$value" ] || echo "${device##*/} $key $value"
        done
        for node in "$device"/drm/renderD*; do
            [ ! -c "/dev/dri/${node##*/}" ] || echo "${device##*/} render_node /dev/dri/${node##*/}"
        done
    done
}

# One line per node of the kernel's compute topology: it knows the architecture of each GPU.
amd_nodes() {
    for node in /sys/class/kfd/kfd/topology/nodes/*; do
        [ ! -r "$node/properties" ] ||
            grep -E '^(domain|location_id|gfx_target_version|simd_count) ' "$node/properties" | tr '\n' ' '
        echo
    done
}

# What the processes of Ollama's unit hold of each amdgpu device, by the kernel's DRM usage statistics. Root's alone.
amd_ollama() {
    for device in /sys/bus/pci/devices/*; do
        [ ! -e "$device/mem_info_vram_total" ] || break
    done
    [ -e "$device/mem_info_vram_total" ] || return 0
    group=$(limited 10 systemctl show --property ControlGroup --value ollama.service)
    [ -n "$group" ] || return 0
    cat "/sys/fs/cgroup$group/cgroup.procs" "/sys/fs/cgroup/systemd$group/cgroup.procs" | sort -u | while read -r pid; do
        if [ -r "/proc/$pid/fdinfo" ]; then
            grep -HE '^drm-(pdev|client-id|memory-vram|resident-vram):' "/proc/$pid/fdinfo"/*
        else
            echo "unreadable $pid"
        fi
    done
}

# Boards without PCI GPU or DMI name themselves in the device tree.
board() {
    echo "model: $(tr -d '\0' </proc/device-tree/model)"
    echo "tegra: $(sed -n 1p /etc/nv_tegra_release)"
}

current() {
    [ ! -L "$2" ] || echo "$1: $(readlink "$2")"
}

version() {
    name=$1
    shift
    command -v "$1" >/dev/null || return 0
    echo "$name: $(limited 10 "$@" 2>/dev/null | sed -n 1p)"
}

# installed OLLAMA OPEN_WEBUI
installed() {
    current ollama "$1"
    current open-webui "$2"
    version caddy caddy version
    version docker docker --version
    version python /usr/bin/python3 --version
    for program in curl zstd; do
        path=$(command -v "$program") && echo "$program: $path"
    done
}

# foreign_ollama PREFIX: units, programs and containers of an Ollama that is not below PREFIX.
foreign_ollama() {
    for unit in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system \
        /lib/systemd/system; do
        start=$(sed -n 's/^ExecStart=[-@:+!]*//p' "$unit/ollama.service" | sed -n 1p)
        case $start in
            '' | "$1"/*) ;;
            *) echo "$unit/ollama.service" ;;
        esac
    done
    for program in $(command -v ollama) /usr/local/bin/ollama /usr/bin/ollama /opt/ollama/bin/ollama \
        /snap/bin/ollama; do
        [ -x "$program" ] || continue
        case $(readlink -f "$program") in
            "$1"/*) ;;
            *) echo "$program" ;;
        esac
    done
    if [ -S /var/run/docker.sock ] && command -v docker >/dev/null; then
        limited 10 docker ps --format '{{.Names}} ({{.Image}}) {{.Ports}}' |
            sed -n -e '/ollama\/ollama/s/) .*/)/p' -e '/:11434->/s/) .*/)/p' | sort -u | sed 's/^/container /'
    fi
}

# Names of processes need root; without ss (iproute2) the kernel's own table has to do, which names none.
listening() {
    sockets=$(ss -ltnp) || sockets=$(grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6) # 0A: LISTEN
    printf '%s\n' "$sockets"
}

systemd_runs() {
    if [ -d /run/systemd/system ]; then echo yes; else echo no; fi
}

# What decides whether a new kernel module is loaded at the next start, and what a restart would bring.
boot() {
    # The last of five bytes: 1 while only signed modules are taken.
    variable=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
    [ ! -r "$variable" ] || echo "secure-boot: $(od -An -tu1 -j4 -N1 "$variable" | tr -d ' ')"
    echo "boot-id: $(cat /proc/sys/kernel/random/boot_id)"
    [ ! -e /var/run/reboot-required ] || echo 'reboot-required: yes'
    [ ! -e /etc/systemd/system/display-manager.service ] || echo 'display-manager: yes'
    # NVSwitch is a bridge (class 0680) of NVIDIA's.
    if grep -qs 0x0680 /sys/bus/pci/devices/*/class; then
        for device in /sys/bus/pci/devices/*; do
            case $(cat "$device/vendor" "$device/class" | tr '\n' ' ') in
                '0x10de 0x0680'*) echo 'nvswitch: yes' ;;
            esac
        done
    fi
    for file in /etc/cdi/*.yaml /var/run/cdi/*.yaml /etc/cdi/*.json /var/run/cdi/*.json; do
        ! grep -qs 'nvidia.com/gpu' "$file" || echo "cdi: $file"
    done
    path=$(command -v nvidia-uninstall) && echo "nvidia-uninstall: $path"
}

# NAME headers=yes|no module=VERSION of each kernel that could be booted.
kernels() {
    for image in /boot/vmlinuz-* /lib/modules/*/vmlinuz; do
        [ -e "$image" ] || continue
        case $image in
            /boot/*) echo "${image#/boot/vmlinuz-}" ;;
            *) basename "${image%/vmlinuz}" ;;
        esac
    done | grep -v rescue | sort -u | while read -r kernel; do
        headers=no
        [ ! -e "/lib/modules/$kernel/build/Makefile" ] || headers=yes
        # Debian calls the file nvidia-current, or nvidia-current-open.
        module=''
        for name in nvidia nvidia-current nvidia-current-open; do
            [ -n "$module" ] || module=$(modinfo -k "$kernel" -F version "$name")
        done
        echo "$kernel headers=$headers module=$module"
    done
}

nvidia_flavour() {
    sed -n 1p /proc/driver/nvidia/version
}

# STATUS NAME VERSION MAINTAINER of NVIDIA's software, as dpkg or rpm knows it; a held package's status begins with "h".
# Left out is what was removed (c) or never there (n).
nvidia_packages() {
    if command -v dpkg-query >/dev/null; then
        dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version} ${Maintainer}\n' '*nvidia*' 'libcuda1' |
            grep -v '^.[cn]'
    elif command -v rpm >/dev/null; then
        limited 10 rpm -qa --qf 'ii %{NAME} %{VERSION} %{VENDOR}\n' '*nvidia*'
    fi
}

cuda_toolkits() {
    for compiler in /usr/local/cuda-*/bin/nvcc; do
        [ ! -x "$compiler" ] || echo "${compiler%/bin/nvcc}"
    done
}

# ROLE {…}: what each role of the machine layer wrote down, on one line.
role_records() {
    for file in /var/lib/inhouse/roles/*.json /var/lib/inhouse/container_engine.json; do
        [ ! -r "$file" ] || echo "$(basename "$file" .json) $(tr '\n' ' ' <"$file")"
    done
}

main() {
    echo '@inhouse-probe 1'
    section system system
    section os-release os_release
    section virtualization virtualization
    section cpu cpu
    section memory memory
    section models-disk disk "$1"
    section display-devices display_devices
    section nvidia-module nvidia_module
    section nvidia-libraries nvidia_libraries
    nvidia_smi
    section amd-gpus amd_gpus
    section amd-nodes amd_nodes
    section amd-ollama amd_ollama
    section board board
    section boot boot
    section kernels kernels
    section nvidia-flavour nvidia_flavour
    section nvidia-packages nvidia_packages
    section cuda-toolkits cuda_toolkits
    section role-records role_records
    section clock date +%s.%N
    section installed installed "$3" "$4"
    section foreign-ollama foreign_ollama "$2"
    section listening listening
    section systemd systemd_runs
    section fleet cat "$5"
    section certificate cat "$6"
    echo '@end'
}

# A function, so that a script cut short runs nothing, and no command can swallow the rest of it from standard input.
main "$@" </dev/null
exit 0
