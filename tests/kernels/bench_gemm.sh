#!/bin/sh
# descent bench gemm: a rate for each table, shape and stride; clear refusals. $1 is the program.
descent=$1
n=0
bad=0
check() { # name, condition's status
    n=$((n + 1))
    if [ "$2" -eq 0 ]; then echo "ok $n - $1"; else echo "not ok $n - $1"; bad=1; fi
}
refused() { # expected words, arguments
    words=$1
    shift
    text=$("$descent" bench "$@" 2>&1 >/dev/null)
    code=$?
    echo "# $code: $text"
    [ "$code" -eq 2 ] && echo "$text" | grep -q "^descent: error: .*$words" &&
        [ "$(echo "$text" | wc -l)" -eq 1 ]
    check "refused: $words" $?
}

tables=$("$descent" bench gemm --shapes 32x64x48 --json | grep -c '"table"')
echo "# $tables rates of one shape"
[ "$tables" -ge 4 ]
check "every table, both strides" $?
"$descent" bench gemm --shapes 32x64x48,TN:31x7x13 --table ref --json |
    awk 'NR > 1 { if (!match($0, /"gflops":[0-9.]+/)) exit 1; if (substr($0, RSTART + 9) + 0 <= 0) exit 1; n++ }
         END { exit n != 4 }'
check "rates are positive" $?
"$descent" bench --shapes 32x64x48 | grep -q 'NN 32x64x48'
check "a table for people" $?
refused "'5x7' is no shape" gemm --shapes 5x7
refused "sides from 1" gemm --shapes 0x4x4
refused "million elements" gemm --shapes 60000x60000x60000
refused "no kernel table 'blas'" gemm --table blas
refused "unknown 'reduse' (closest: 'reduce')" reduse
echo "1..$n"
exit $bad
