#!/bin/bash
# mknasty.sh DIR: make a tree of everything that has broken a backup program.  NASTY_ENTRIES: entries of the big directory.
set -eu
dir=$1
mkdir -p "$dir"
cd "$dir"

mkdir -p plain/a/b empty/dir hard1 hard2/deep links big special sparse names mode times
: >plain/empty
echo text >plain/a/text
head -c 3000000 /dev/urandom >plain/a/b/random
yes "a line that repeats" | head -c 5000000 >plain/repeats
head -c 16384 /dev/zero >plain/zeros

echo one >hard1/one
ln hard1/one hard2/deep/also-one
ln hard1/one hard1/again
head -c 700000 /dev/urandom >hard2/large
ln hard2/large hard1/large-too
ln -s nowhere/at/all links/dangling
ln -s ../plain links/dir
ln -s /etc/passwd links/absolute
ln -s . links/self
ln -s "$(printf '%0.s0123456789' $(seq 1 400))" links/long
ln links/dangling hard1/link-to-link

mkfifo special/fifo
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("special/socket")'
if [ "$(id -u)" = 0 ]; then
	mknod special/null c 1 3
	mknod special/loop b 7 200
	mknod special/wide c 300 70000
fi

# 10 GiB that hold 1 MiB, in pieces; one that ends in a hole, one that is only a hole.
truncate -s 10G sparse/ten
for i in 0 1 2 3; do
	head -c 262144 /dev/urandom | dd of=sparse/ten bs=65536 seek=$((i * 40000 + 7)) conv=notrunc status=none
done
echo x >sparse/tail && truncate -s 3M sparse/tail
truncate -s 5M sparse/hole

# Names.
n255=$(printf '%0.sn' $(seq 1 255))
echo 255 >"names/$n255"
mkdir "names/d${n255:1}"
echo in >"names/d${n255:1}/f"
echo nl >names/$'new\nline'
echo esc >names/$'\e[31mred\e]0;title\a'
echo raw >names/$'\xff\xfe\x80invalid'
echo c1 >names/$'\xc2\x9bcsi'
echo sp >'names/ leading and trailing '
echo q >names/\'\"\\\$\`
echo dash >names/-rf
echo star >'names/*?[x]'
echo utf >names/$'\u00e9 \u65e5\u672c e\u0301'
echo dots >names/...

# Extended attributes and ACLs, as far as the file system and the kernel have them.
echo x >mode/xattr
setfattr -n user.varve -v value mode/xattr || true
setfattr -n user.binary -v 0x00ff0a1b mode/xattr || true
setfattr -n user.empty mode/xattr || true
setfattr -n user.long -v "$(head -c 2000 /dev/zero | tr '\0' a)" mode/xattr || true
mkdir mode/xdir && setfattr -n user.dir -v 1 mode/xdir || true
echo x >mode/acl
setfacl -m u:1234:rw,g:4321:r mode/acl || true
mkdir mode/acldir && setfacl -m u:1234:rwx -d -m u:1234:rwx,g::r-x mode/acldir || true
closed=
[ "$(id -u)" != 0 ] || closed=0000      # whom modes do not stop
for m in $closed 0400 0444 0600 0755 4755 2755 6755 1644; do
	echo "$m" >"mode/f$m"
	chmod "$m" "mode/f$m"
done
mkdir mode/sticky mode/setgid mode/closed
echo inside >mode/closed/file
chmod 1777 mode/sticky
chmod 2775 mode/setgid
if [ "$(id -u)" = 0 ]; then
	echo owner >mode/owner && chown 1234:4321 mode/owner
	chown -h 4321:1234 links/dangling
	cp /bin/true mode/capable && setcap cap_net_raw+ep mode/capable 2>/dev/null || true
	setfattr -n trusted.varve -v t mode/owner 2>/dev/null || true
	chmod 4711 mode/owner
	chmod 0000 mode/closed
fi
command -v chattr >/dev/null && chattr +d mode/f0600 2>/dev/null || true

# Times: nanoseconds, before 1970, far ahead.
echo t >times/ns && touch -d '2001-02-03 04:05:06.123456789' times/ns
echo t >times/old && touch -d '1969-12-31 23:59:59.999999999' times/old
echo t >times/far && touch -d '2105-01-01 00:00:00.000000001' times/far
mkdir times/dir && touch -d '2002-02-02 02:02:02.020202020' times/dir
ln -s target times/link && touch -h -d '2003-03-03 03:03:03.030303030' times/link

# 300 directories deep, beyond PATH_MAX; and a directory of many entries.
python3 - "${NASTY_ENTRIES:-200000}" <<'PY'
import os, sys
top = os.getcwd()
os.mkdir("deep")
os.chdir("deep")
for i in range(300):
    name = "level-%03d-abcdefghijkl" % i
    with open("file", "w") as f:
        f.write("at %d\n" % i)
    os.mkdir(name)
    os.chdir(name)
with open("bottom", "w") as f:
    f.write("the bottom\n")
os.chdir(top)
os.chdir("big")
for i in range(int(sys.argv[1])):
    os.close(os.open("entry-%06d" % i, os.O_CREAT | os.O_WRONLY, 0o644))
with open("entry-000777", "w") as f:
    f.write("not empty\n")
PY
