# SPDX-License-Identifier: MIT
# Perl with the handler of perlipc(1): waitpid(-1) at each SIGCHLD.
use strict;
use warnings;
use POSIX ':sys_wait_h';
my ($folder, $leaf) = @ENV{qw(HOST_FOLDER HOST_LEAF)};
my ($right, $wrong) = (0, 0);
my (%status, %found);
$SIG{CHLD} = sub {
    local ($!, $?);
    while ((my $pid = waitpid(-1, WNOHANG)) > 0) { $found{$pid} = $? >> 8 }
};
sub run {
    my %wanted;
    for my $status (@_) {
        my $pid = fork // die;
        if ($pid == 0) { exec $leaf, $status or die }
        $wanted{$pid} = $status;
    }
    for my $pid (keys %wanted) {
        select undef, undef, undef, 0.01 until exists $found{$pid};
        $found{$pid} == $wanted{$pid} ? $right++ : $wrong++;
        delete $found{$pid};
    }
}
run(0);
($right, $wrong) = (0, 0);
open my $file, '>', "$folder/ready" or die;
close $file;
run(100 .. 119);
run(3) while !-e "$folder/done";
print "own $right right, $wrong wrong\n";
