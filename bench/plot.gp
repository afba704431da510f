# SPDX-License-Identifier: MIT
# gnuplot -c plot.gp DATA.dat PLOT.svg
data = ARG1
stats data using 1 nooutput
blocks = STATS_blocks

set terminal svg size 900,560 font "sans-serif,13" background "white"
set output ARG2
set title "CPU of the loop thread to collect one exit and watch one new child"
set xlabel "live watched children"
set ylabel "microseconds for each exit"
set logscale xy
set format x "%.0f"
set format y "%.0f"
set grid xtics ytics mytics linecolor rgb "#dddddd"
set key outside right top noenhanced spacing 1.2
set linetype 1 linecolor rgb "#000000" pointtype 2 linewidth 2
set linetype 2 linecolor rgb "#d62728" pointtype 7 linewidth 3
set linetype 3 linecolor rgb "#ff9896" pointtype 7 linewidth 2
set linetype 4 linecolor rgb "#9467bd" pointtype 9 linewidth 2
set linetype 5 linecolor rgb "#2ca02c" pointtype 5 linewidth 2
set linetype 6 linecolor rgb "#98df8a" pointtype 5 linewidth 2
set linetype 7 linecolor rgb "#7f7f7f" pointtype 1 linewidth 1
set linetype 8 linecolor rgb "#bcbd22" pointtype 3 linewidth 1
set linetype 9 linecolor rgb "#1f77b4" pointtype 4 linewidth 1
set linetype 10 linecolor rgb "#17becf" pointtype 6 linewidth 1
set linetype 11 linecolor rgb "#8c564b" pointtype 8 linewidth 1
set linetype 12 linecolor rgb "#e377c2" pointtype 10 linewidth 1
set linetype 13 linecolor rgb "#393b79" pointtype 12 linewidth 1
plot for [i = 0:blocks - 1] data index i using 1:2:3:4 with yerrorlines linetype i + 1 title columnheader(1)
