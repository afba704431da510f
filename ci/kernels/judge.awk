# SPDX-License-Identifier: MIT
# usage: awk -v name=KERNEL -v kernel=VERSION -f ci/kernels/judge.awk
#            ci/kernels/features DOCTOR COUNTS
#
# DOCTOR is what exitfd doctor printed there, COUNTS comes from
# ci/count-tests.awk. Prints a line for all that the table in features says must
# not be: a feature that the kernel must have and has not, a skip with no right
# to be one, and a failure.

function number(version,    parts)
{
    split(version, parts, ".")
    return 1000 * parts[1] + parts[2]
}

FNR == 1 { file++ }
/^#/ || /^$/ { next }
file == 1 && $1 == "has" && number(kernel) >= number($2) { must_have[$3] = $4 }
file == 1 && $1 == "fails" && $2 == name { known[$3] = 1 }
file == 1 && $1 == "skip" && ($2 == "-" || $2 == name || number(kernel) < number($2)) {
    reason = $0
    sub(/^skip +[^ ]+ +/, "", reason)
    right[++reasons] = reason
}
file == 2 { found[$2] = $3 }
file == 3 && /^failed\t/ {
    split($0, fields, "\t")
    test = fields[3]
    sub(/: .*/, "", test)
    if (test in known)
        known[test]++
    else
        printf "failed (%s): %s\n", fields[2], fields[3]
}
file == 3 && /^skipped\t/ {
    for (i = 1; i <= reasons; i++)
        if ($0 ~ right[i])
            next
    split($0, fields, "\t")
    printf "must not skip on Linux %s (%s): %s\n", kernel, fields[2], fields[3]
}
END {
    for (test in known)
        if (known[test] == 1)
            printf "%s must fail on %s, and did not: take it out of ci/kernels/features\n", test, name
    for (check in must_have)
        if (found[check] != must_have[check])
            printf "exitfd doctor on Linux %s must say %s %s, not '%s'\n", kernel, check, must_have[check], found[check]
}
