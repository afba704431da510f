# SPDX-License-Identifier: MIT
# Perl's system, fork and waitpid.
use strict;
use warnings;
my ($folder, $leaf) = @ENV{qw(HOST_FOLDER HOST_LEAF)};
my ($right, $wrong) = (0, 0);
sub run {
    my %status;
    for my $status (@_) {
        my $pid = fork // die;
        if ($pid == 0) { exec $leaf, $status or die }
        $status{$pid} = $status;
    }
    for my $pid (keys %status) {
        waitpid($pid, 0) == $pid && $? >> 8 == $status{$pid} ? $right++ : $wrong++;
    }
}
system $leaf, 0;
open my $file, '>', "$folder/ready" or die;
close $file;
run(100 .. 119);
while (!-e "$folder/done") {
    system($leaf, 3) >> 8 == 3 ? $right++ : $wrong++;
}
print "own $right right, $wrong wrong\n";
