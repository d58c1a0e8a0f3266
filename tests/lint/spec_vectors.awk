# Write each ```vector NAME block of SPEC.md to DIR/NAME.vec:  awk -v dir=DIR -f spec_vectors.awk SPEC.md
/^```vector / { out = dir "/" $2 ".vec"; next }
/^```/ { if (out != "") close(out); out = ""; next }
out != "" { print > out }
