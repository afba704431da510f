# SPDX-License-Identifier: MIT
# Reads a testlog.txt of meson and prints one line for each test executable,
#     counts<TAB>suite<TAB>back end<TAB>passed<TAB>failed<TAB>skipped
# and one for each failure and each skip,
#     failed|skipped<TAB>back end<TAB>test and reason
# What a TAP plan promised and nobody reported has failed.

function finish_test(    i)
{
    if (test == "")
        return
    suite = test
    sub(/ .*/, "", suite)
    backend = substr(test, length(suite) + 2)
    if (backend == "")
        backend = "-"
    if (!is_tap && result == "exit status 77")
        skips[++skipped] = test ": " last_line
    else if (!is_tap && result == "exit status 0")
        passed = 1
    else if (!is_tap)
        failures[++failed] = test ": " result
    else if (plan == 0 && plan_skips != "" && passed + failed == 0 && result == "exit status 0")
        skips[++skipped] = test ": " plan_skips
    else if (plan == 0)
        failures[++failed] = suite ": ran no test"
    else if (passed + failed + skipped < plan) {
        failures[1 + failed] = suite ": not all of its tests ended: " result
        failed = plan - passed - skipped
    } else if (failed == 0 && result != "exit status 0")
        failures[++failed] = suite ": " result
    printf "counts\t%s\t%s\t%d\t%d\t%d\n", suite, backend, passed, failed, skipped
    for (i = 1; i in failures; i++)
        printf "failed\t%s\t%s\n", backend, failures[i]
    for (i = 1; i in skips; i++)
        printf "skipped\t%s\t%s\n", backend, skips[i]
    delete failures
    delete skips
    plan_skips = ""
    passed = failed = skipped = plan = is_tap = in_output = 0
}

/^test: / {
    finish_test()
    test = $0
    sub(/^test: +([^\/]* \/ )?/, "", test)
}
/^result: / {
    result = $0
    sub(/^result: +/, "", result)
}
/^-+ std(out|err) -+$/ {
    in_output = 1
    next
}
/^=+( [0-9]+\/[0-9]+ =+)?$/ { in_output = 0 }
!in_output { next }
{ last_line = $0 }
/^1\.\.[0-9]+/ {
    is_tap = 1
    plan = substr($1, 4) + 0
    if (match($0, /# SKIP */))
        plan_skips = substr($0, RSTART + RLENGTH)
}
/^(not )?ok / {
    name = $0
    sub(/^(not )?ok( [0-9]+)?( -)? */, "", name)
    sub(/ *\([0-9.]+s\)$/, "", name)
    if (match(name, / *# SKIP */))
        skips[++skipped] = substr(name, 1, RSTART - 1) ": " substr(name, RSTART + RLENGTH)
    else if (/^not ok /)
        failures[++failed] = name
    else
        passed++
}
END { finish_test() }
