#!/bin/bash
# Key slots: a repository opens with each of its secrets and with no other.
. "$(dirname "$0")/lib.sh"

init_repo
equal "mode of a new key file" "$(stat -c %a "$T/key")" 600
equal "length of a key file" "$(stat -c %s "$T/key")" 32
mkdir "$T/src" && echo secret >"$T/src/file"
snap "$T/src"
printf 'pass one\n' >"$T/pw1"
printf 'pass two\n' >"$T/pw2"
opens() { # NAME WANTED OPTION...
	local name=$1 wanted=$2
	shift 2
	run env -u VARVE_KEY_FILE "$VARVE" list "$@"
	exits "$wanted" "$name"
}
slots() { # [current|other]: ids of the slots
	must key list --json
	"$PYTHON" - "$T/out" "${1:-}" <<'PY'
import json, sys
for v in json.load(open(sys.argv[1])):
    if (not sys.argv[2] or v["current"] == (sys.argv[2] == "current")):
        print(v["id"])
PY
}
cheap='--kdf-memory 8M --kdf-passes 1'
equal "one slot" "$(slots | wc -l)" 1
v key add --new-password-file "$T/pw1" --label paper $cheap; exits 0 "key add, a passphrase"
equal "two slots" "$(slots | wc -l)" 2
opens "by the passphrase" 0 --password-file "$T/pw1"
opens "not by another" 12 --password-file "$T/pw2"
v key add --new-key-file "$T/key2"; exits 0 "key add, a key file"
is "the key file was made" test -s "$T/key2"
opens "by the second key file" 0 --key-file "$T/key2"

run env -u VARVE_KEY_FILE "$VARVE" key change --password-file "$T/pw1" --new-password-file "$T/pw2" $cheap; exits 0 "key change"
opens "not by the old one" 12 --password-file "$T/pw1"
opens "by the new one" 0 --password-file "$T/pw2"
equal "still three slots" "$(slots | wc -l)" 3

# A secret has one slot.
v key add --new-key-file "$T/key2"; exits 1 "a secret that has a slot"
is "the slot is named" grep -q "opens the repository already (slot [0-9a-f]" "$T/err"
v key change --new-key-file "$T/key"; exits 1 "change to the same secret"
v key add --new-password-file "$T/pw2" $cheap; exits 1 "a passphrase that has a slot"
cp -r "$T/repo/keys" "$T/keys.old"
must key change --new-key-file "$T/key5"
must key change --key-file "$T/key5" --new-key-file "$T/key"
isnt "the old secret opens nothing" grep -q "still opens" "$T/err"
cp -n "$T/keys.old"/* "$T/repo/keys/"
must key change --new-key-file "$T/key6"
is "a second slot of the old secret is told" grep -q "still opens the repository (slot [0-9a-f]" "$T/err"
must key remove --key-file "$T/key2" "$(VARVE_KEY_FILE=$T/key6 slots current)"

# A change that cannot be leaves no key file behind.
"$PYTHON" - "$T/repo/locks" "$T/held" <<'PY' &
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0))
open(sys.argv[2], "w").close()
time.sleep(30)
PY
holder=$!
while [ ! -e "$T/held" ]; do sleep 0.02; done
v key change --new-key-file "$T/key8"; exits 11 "key change while somebody reads"
isnt "no key file is left" test -e "$T/key8"
is "it is said what to do" grep -q "try again" "$T/err"
kill "$holder"; wait "$holder" 2>/dev/null || true

v key export; exits 0 "key export"
cp "$T/out" "$T/paper"
isnt "the paper does not show the key in the clear bytes of the key file" grep -qaF "$(od -An -tx1 "$T/key" | tr -d ' \n')" "$T/paper"
current=$(slots current)
for s in $(slots other); do v key remove "$s"; exits 0 "key remove"; done
v key remove "$current"; isnt "the last slot is not removed" [ "$status" = 0 ]
v key remove 0123456789; exits 1 "no such slot"
equal "one slot is left" "$(find "$T/repo/keys" -type f | wc -l)" 1

# All slots lost: paper brings the repository back.
rm -f "$T/repo/keys"/*
v list; isnt "no slot, no entry" [ "$status" = 0 ]
sed 's/[0-9a-f]\([0-9a-f]\)/\1\1/' "$T/paper" | head -n 100 >"$T/mistyped"
v key import "$T/mistyped" --new-key-file "$T/key4"; isnt "mistyped paper is refused" [ "$status" = 0 ]
v key import "$T/paper" --new-key-file "$T/key3"; exits 0 "key import"
run env VARVE_KEY_FILE="$T/key3" "$VARVE" cat latest "$T/src/file"
equal "the snapshot is readable again" "$(cat "$T/out")" secret

# A public slot opens only when asked for.
must init -r "$T/public" --insecure-no-encryption
run env -u VARVE_KEY_FILE "$VARVE" snapshot -r "$T/public" --insecure-no-encryption "$T/src"; exits 0 "a public repository"
run env -u VARVE_KEY_FILE "$VARVE" list -r "$T/public"; isnt "not without the flag" [ "$status" = 0 ]
# A stranger's key slot and header do not open another repository.
cp "$T/public/keys"/* "$T/repo/keys/"
run env -u VARVE_KEY_FILE "$VARVE" list --insecure-no-encryption; isnt "a slot of another repository (KS-2)" [ "$status" = 0 ]
finish
