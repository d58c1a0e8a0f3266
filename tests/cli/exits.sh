#!/bin/bash
# Exit statuses are an interface: scripts decide by them whether a backup was made.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
echo hello >"$T/src/file"

v; exits 2 "no command"
v frobnicate; exits 2 "unknown command"
must init "$T/new/a/b//c/" --key-file "$T/newkey"
is "init makes parents" test -e "$T/new/a/b/c/varve-repo"
equal "a new repository is its owner's" "$(stat -c %a "$T/new/a/b/c")" 700
echo short >"$T/badkey"
v init "$T/new2/a/b/" --key-file "$T/badkey"; exits 12 "init with a bad key file"
isnt "no directory is left behind" test -e "$T/new2"
mkdir "$T/new3"
v init "$T/new3" --key-file "$T/badkey"
is "one that was there stays" test -d "$T/new3"
v mount; exits 2 "a command that others have"
is "it is said that this version has none" grep -q "not in this version" "$T/err"
v snapshot --frobnicate "$T/src"; exits 2 "unknown option"
v snapshot "$T/src"; exits 10 "no repository"
isnt "nothing was made there" test -e "$T/repo"
run env -u VARVE_REPOSITORY "$VARVE" list; exits 2 "no repository named"

export VARVE_PASSWORD='correct horse'
unset VARVE_KEY_FILE
v init --kdf-memory 8M --kdf-passes 1; exits 0 "init with a passphrase"
v init; exits 1 "init on a repository"
v snapshot "$T/src"; exits 0 "right passphrase"
(cd "$T/repo" && find . -type f -printf '%p %s %T@\n' | sort) >"$T/before"
VARVE_PASSWORD='wrong horse' v snapshot "$T/src"; exits 12 "wrong passphrase"
VARVE_PASSWORD='' v snapshot "$T/src"; exits 12 "empty passphrase"
(cd "$T/repo" && find . -type f -printf '%p %s %T@\n' | sort) >"$T/after"
is "nothing was written with a wrong one" cmp "$T/before" "$T/after"
head -c 32 /dev/urandom >"$T/other-key"
run env -u VARVE_PASSWORD "$VARVE" list --key-file "$T/other-key"; exits 12 "wrong key file"
run env -u VARVE_PASSWORD "$VARVE" list --key-file "$T/no-such-key"; exits 1 "no such key file"
printf 'correct horse\n' >"$T/pw"
run env -u VARVE_PASSWORD "$VARVE" list --password-file "$T/pw"; exits 0 "passphrase from a file"
run env -u VARVE_PASSWORD "$VARVE" list --password-command "cat $T/pw"; exits 0 "passphrase from a command"
run env -u VARVE_PASSWORD "$VARVE" list --password-command "exit 3"; isnt "a failing password command is no success" [ "$status" = 0 ]
run env -u VARVE_PASSWORD "$VARVE" list --insecure-no-encryption; exits 12 "no public slot"

v snapshot; exits 2 "snapshot of nothing"
v snapshot "$T/not-there"; isnt "snapshot of a missing path is no success" [ "$status" = 0 ]
v snapshot "$T/src" "$T/not-there"; exits 3 "one of two paths is missing"
v restore latest; exits 2 "restore without target"
v restore ffffffff --target "$T/x"; exits 1 "no such snapshot"
v cat latest /no/such/path; exits 1 "no such path"
v ls latest /no/such/path; exits 1 "no such path for ls"
v list --json=yes; exits 2 "value for a flag"

# A file that changes all the time is stored as found, not "could not be read".
mkdir "$T/busy" && head -c 30000000 /dev/zero >"$T/busy/log"
while :; do echo x >>"$T/busy/log"; done &
writer=$!
for _ in $(seq 1 20); do
	v snapshot --rehash "$T/busy"
	[ "$status" = 0 ] || break
done
kill "$writer"
exits 3 "a file that changes while it is read"
is "it is said to be in the snapshot" grep -q "1 file changed while being read, stored as found" "$T/err"
isnt "and nothing else" grep -q "could not be read" "$T/err"

# Unreadable files as an ordinary user.
if is_root; then
	key=$T/userkey
	mkdir "$T/user" "$T/user/locked"
	echo a >"$T/user/readable" && echo b >"$T/user/unreadable" && echo c >"$T/user/locked/inside"
	chmod 0 "$T/user/unreadable" "$T/user/locked"
	chmod 755 "$T"
	prog=$T/varve-copy
	cp "$VARVE" "$prog" && chmod 755 "$prog"
	mkdir "$T/home" && chown -R nobody "$T/home"
	chmod o+x "$(dirname "$T")" 2>/dev/null || true
	as() { setpriv --reuid=65534 --regid=65534 --clear-groups env -u VARVE_PASSWORD HOME="$T/home" VARVE_REPOSITORY="$T/home/repo" VARVE_KEY_FILE="$T/home/key" "$prog" "$@"; }
	run as init --key-file "$T/home/key"; exits 0 "init as nobody"
	run as snapshot --json "$T/user"; exits 3 "snapshot with unreadable parts"
	equal "errors counted" "$(field errors)" 2
	is "the unreadable file is named" grep -q unreadable "$T/err"
	run as restore "latest:$T/user" --target "$T/home/back"
	is "the rest was stored" cmp "$T/user/readable" "$T/home/back/readable"
	rmdir "$T/home/back/locked" && echo mine >"$T/home/back/locked"
	run as restore "latest:$T/user" --target "$T/home/back"; exits 1 "a file in the way of the unreadable directory"
	is "it stays" grep -qx mine "$T/home/back/locked"
	mkdir -p "$T/passage/mine" && echo mine >"$T/passage/mine/file"
	"$PYTHON" -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1]); db.execute("create table t (a)"); db.execute("insert into t values (1)"); db.commit()' "$T/passage/mine/a.db"
	cp "$T/passage/mine/a.db" "$T/passage/b.db"
	chmod 711 "$T/passage"
	run as snapshot "$T/passage/mine" "$T/passage/mine/a.db"; exits 0 "beneath a directory that may only be passed through"
	run as restore "latest:$T/passage/mine" --target "$T/home/mine"; exits 0 "restore of it"
	is "the same" diff -r "$T/passage/mine" "$T/home/mine"
	run as snapshot "$T/passage/b.db" --json; exits 0 "a database in it by itself"
	equal "it is captured as one" "$(field databases)" 1
	chmod 755 "$T/user/locked"
	VARVE_REPOSITORY=$T/home/repo VARVE_KEY_FILE=$T/home/key must snapshot "$T/user"
	equal "what root makes in another's repository is that one's" "$(find "$T/home/repo" -uid 0 | wc -l)" 0
	run as list; exits 0 "nobody can list it"
	record=$(find "$T/home/repo/snapshots" -type f | head -n 1)
	chown root "$record" && chmod 600 "$record"
	run as list; exits 1 "a record that may not be read"
	is "is not called damaged" grep -q "another user.*Permission denied" "$T/err"
	: "$key"
else
	mkdir "$T/user"
	echo a >"$T/user/readable" && echo b >"$T/user/unreadable" && chmod 0 "$T/user/unreadable"
	v snapshot --json "$T/user"; exits 3 "snapshot with an unreadable file"
	v restore "latest:$T/user" --target "$T/back"
	is "the rest was stored" cmp "$T/user/readable" "$T/back/readable"
fi
finish
