# What the packages do on a machine, each thing once: `scripts/package` puts this file into the
# maintainer scripts of the .deb and the scriptlets of the .rpm, which say when. No percent signs:
# rpm takes them for macros.

home=/usr/lib/greenpool
run_directory=/run/greenpool
pid_file=$run_directory/greenpool.pid
unit=greenpool.service

has_systemd() {
    [ -d /run/systemd/system ]
}

make_account() {
    getent group greenpool >/dev/null || groupadd --system greenpool
    getent passwd greenpool >/dev/null || useradd --system --gid greenpool --no-create-home \
        --home-dir /nonexistent --shell /usr/sbin/nologin --comment greenpool greenpool
}

make_run_directory() {
    if command -v systemd-tmpfiles >/dev/null; then
        systemd-tmpfiles --create greenpool.conf
    else
        install -d -o greenpool -g greenpool -m 0755 "$run_directory"
    fi
}

# All of it anew: a file of the version before may have had the same length and time.
compile_bytecode() {
    "$home/bin/python" -I -m compileall -q -f "$home/lib"
}

forget_bytecode() {
    find "$home" -depth -type d -name __pycache__ -exec rm -rf {} +
}

reload_units() {
    if has_systemd; then
        systemctl daemon-reload
    fi
}

is_running() {
    greenpool status --pid-file "$pid_file" >/dev/null 2>&1
}

# The running version hands its clients over to the installed one. Where that cannot be, it goes on
# as it is: a package is no reason to disconnect anybody.
hand_over() {
    is_running || return 0
    if greenpool upgrade --pid-file "$pid_file"; then
        return 0
    fi
    echo "greenpool: the version that was running goes on. When the reason above is gone, use" >&2
    echo "    greenpool upgrade --pid-file $pid_file" >&2
    echo "or restart it, which disconnects its clients." >&2
}

stop_for_good() {
    if has_systemd; then
        systemctl disable --now "$unit"
    fi
    if is_running; then
        greenpool stop --pid-file "$pid_file" || greenpool stop --now --pid-file "$pid_file"
    fi
}
