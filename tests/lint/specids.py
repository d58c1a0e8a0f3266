"""Rule ids: each one of SPEC.md is proved somewhere in tests/, each one cited anywhere is in SPEC.md."""
import re

from lintlib import done, files, text, verdict

spec = text("SPEC.md")
defined = re.findall(r"^\| \*\*([A-Z]{2}-\d+)\*\*", spec, re.M)
families = "|".join(sorted({d.split("-")[0] for d in defined}))
CITED = re.compile(r"\b(?:%s)-\d+\b" % families)
ANY = (".c", ".h", ".py", ".sh", ".vec", ".md")


def cited(*folders):
    return {(m, path) for path in files(*folders, ends=ANY) if "/lint/" not in path for m in CITED.findall(text(path))}


tests = {m for m, _ in cited("tests", "fuzz")}
for block in re.findall(r"^```vector.*?^```", spec, re.M | re.S):
    tests |= set(CITED.findall(block))
everywhere = cited("format", "src", "tools", "tests", "fuzz", "bench") | {(m, "SPEC.md") for m in CITED.findall(spec)}

verdict("no rule id is defined twice", sorted({d for d in defined if defined.count(d) > 1}))
verdict("each rule of SPEC.md is cited by a test or a vector", [d for d in defined if d not in tests])
verdict("each rule id cited exists in SPEC.md", ["%s in %s" % c for c in sorted(everywhere) if c[0] not in defined])
done()
