#!/bin/bash
# Which snapshot is meant.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src" "$T/other"
init_repo
make() { # TEXT OPTION...
	echo "$1" >"$T/src/file"
	shift
	snap "$@"
	made=$(field snapshot)
}
make one --time 2026-01-10T10:00:00Z --host alpha --tag daily "$T/src"; s1=$made
make two --time 2026-01-11T10:00:00Z --host alpha --tag daily --tag keep "$T/src"; s2=$made
make three --time 2026-01-12T10:00:00Z --host beta "$T/src"; s3=$made
make four --time 2026-01-13T10:00:00Z --host beta "$T/src" "$T/other"; s4=$made
file=$T/src/file
shows() { # NAME WANTED ARGUMENT...
	local name=$1 wanted=$2
	shift 2
	v cat "$@"
	equal "$name" "$(cat "$T/out")" "$wanted"
}
shows latest four latest "$file"
shows 'latest~1' three latest~1 "$file"
shows 'latest~3' one latest~3 "$file"
shows 'the whole id' two "$s2" "$file"
shows 'a prefix' one "${s1:0:12}" "$file"
shows '@TIME between' two @2026-01-11T23:00 "$file"
shows '@TIME exactly' two @2026-01-11T10:00:00Z "$file"
shows '@DATE is the end of that day' four @2026-01-13 "$file"
shows '--host' two --host alpha latest "$file"
shows '--tag' two --tag keep latest "$file"
shows '--tag, an earlier one' one --tag daily latest~1 "$file"
shows '--path' four --path "$T/other" latest "$file"
shows 'SNAP:PATH' three "${s3:0:12}:$file"
v cat latest~4 "$file"; exits 1 "before the first"
v cat @2020-01-01 "$file"; exits 1 "@TIME before the first"
v cat @nonsense "$file"; exits 2 "a time that is none"
v cat '' "$file"; exits 2 "an empty name"
v cat zzzz "$file"; exits 2 "not hexadecimal"

must list
equal "list has a line for each" "$(grep -c -E "${s1:0:8}|${s2:0:8}|${s3:0:8}|${s4:0:8}" "$T/out")" 4
must list --json --host alpha
equal "list --host" "$("$PYTHON" -c 'import json,sys; print(*[s["id"] if "id" in s else s["snapshot"] for s in json.load(open(sys.argv[1]))])' "$T/out")" "$s1 $s2"
must list --json --tag keep
equal "list --tag" "$("$PYTHON" -c 'import json,sys; print(len(json.load(open(sys.argv[1]))))' "$T/out")" 1

make before "$T/src"; before=$made
make wrong --time 2190-01-01 "$T/src"; ahead=$made
make now "$T/src"
equal "one of the future is nobody's parent" "$(field parent)" "$before"
shows 'latest passes one of the future over' now latest "$file"
is "and says so" grep -q "^varve: snapshot ${ahead:0:8} is dated in the future: passed over$" "$T/err"
v diff latest~1 latest
equal "once" "$(grep -c 'passed over' "$T/err")" 1
shows 'by its id it is there' wrong "$ahead" "$file"
equal "without a word" "$(cat "$T/err")" ""
make only --time 2190-01-02 --host gamma "$T/src"; ahead=$made
shows 'it is the latest where there is no other' only --host gamma latest "$file"
make more --host gamma "$T/src"
equal "and the parent" "$(field parent)" "$ahead"
finish
