# SPDX-License-Identifier: MIT
# Tcl's exec and open.
set right 0
set wrong 0
proc judge {result status} {
    global right wrong
    if {[lindex $result 0] eq "CHILDSTATUS" && [lindex $result 2] == $status} {incr right} else {incr wrong}
}
exec $env(HOST_LEAF) 0
close [open $env(HOST_FOLDER)/ready w]
for {set i 100} {$i < 120} {incr i} {
    lappend channels [open "|$env(HOST_LEAF) $i"] $i
}
foreach {channel status} $channels {
    catch {close $channel}
    judge $errorCode $status
}
while {![file exists $env(HOST_FOLDER)/done]} {
    catch {exec $env(HOST_LEAF) 3}
    judge $errorCode 3
}
puts "own $right right, $wrong wrong"
