#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: iproute2, lsof, psmisc, sysvinit-utils and dpkg of Debian 12 (seen
# with 6.1.0-3, 4.95.0-1, 23.6-1, 3.06-4, 1.21.23).
# Behaviour: the main thread of a service ends by pthread_exit(3), and the other
# threads serve on. wait(2) and a pidfd are right: nothing has exited. But
# /proc/PID shows the main thread: state Z, and no program, no arguments, no
# fds. So nobody owns the port that the service answers on, for ss, lsof and
# fuser. pidof does not find it, and start-stop-daemon --start --exec, which is
# there to start a program once, starts a second one. With the main thread in
# pause(2) all five find it.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# apt-get, dpkg-deb, gcc and root.
set -u -o pipefail

folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder" || exit 2
apt-get download -qq iproute2=6.1.0-3 lsof=4.95.0-1 psmisc=23.6-1 sysvinit-utils=3.06-4 dpkg=1.21.23 libtirpc3 libkeyutils1 \
    libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2 libmnl0 libbsd0 libmd0 libcap2 libelf1 libbpf1 \
    libselinux1 libpcre2-8-0 zlib1g > log 2>&1 || { cat log >&2; exit 2; }
for package in *.deb; do
    dpkg-deb -x "$package" root || exit 2
done
ls iproute2* lsof* psmisc* sysvinit* dpkg*
export LD_LIBRARY_PATH=$folder/root/lib/x86_64-linux-gnu:$folder/root/usr/lib/x86_64-linux-gnu
export PATH=$folder/root/bin:$folder/root/sbin:$folder/root/usr/bin:$folder/root/usr/sbin:$PATH

cat > service.c << 'C'
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int server;

static void *serve(void *unused)
{
    for (;;) {
        int client = accept(server, NULL, NULL);
        write(client, "served\n", 7);
        close(client);
    }
    return unused;
}

int main(int count, char **words)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    pthread_t thread;
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, size) < 0 || listen(server, 5) < 0 ||
        getsockname(server, (struct sockaddr *)&address, &size) < 0 || pthread_create(&thread, NULL, serve, NULL) != 0)
        return 1;
    printf("%d\n", ntohs(address.sin_port));
    fclose(stdout);
    if (count > 1)
        pthread_exit(words);
    pause();
}
C
gcc -w -o a-service service.c -lpthread || exit 2

state() { [[ $(cut -d ' ' -f 3 < "/proc/$1/stat") == "$2" ]]; }
found() { echo "  $1: $2"; finds+=$2; }

# try FINDS [WORD]: is it true that these tools find the service, started with
# that word? 1 for each one that finds it.
try() {
    local expected=$1 port pid finds=
    shift
    exec 3< <(exec ./a-service "$@")
    pid=$!
    read -r port <&3
    until state "$pid" "${1:-S}"; do :; done
    exec 4<> "/dev/tcp/127.0.0.1/$port"
    echo "the main thread is in state ${1:-S}; the service says: $(cat <&4)"
    found "ss" "$(ss -Hltnp "sport = $port" | grep -c "pid=$pid,")"
    found "lsof" "$(lsof -t -nP "-iTCP:$port" -sTCP:LISTEN 2> log | grep -cx "$pid")"
    found "fuser" "$(fuser "$port/tcp" 2> log | grep -cw "$pid")"
    found "pidof" "$(pidof a-service | grep -cw "$pid")"
    found "start-stop-daemon" "$(start-stop-daemon --start --test --exec "$folder/a-service" | grep -c 'already running')"
    kill "$pid"
    [[ $finds == "$expected" ]]
}

echo "1: found, 0: not found"
status=0
try 11111 || status=1
try 00000 Z || status=1
((status == 0)) && echo "AS DESCRIBED" || echo "DIFFERENT"
exit "$status"
