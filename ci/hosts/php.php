<?php
# SPDX-License-Identifier: MIT
# PHP's proc_open.
$folder = getenv('HOST_FOLDER');
$leaf = getenv('HOST_LEAF');
$right = $wrong = 0;
function run($statuses)
{
    global $leaf, $right, $wrong;
    $children = [];
    foreach ($statuses as $status)
        $children[$status] = proc_open([$leaf, (string)$status], [], $pipes);
    foreach ($children as $status => $child)
        proc_close($child) == $status ? $right++ : $wrong++;
}
run([0]);
$right = $wrong = 0;
touch("$folder/ready");
run(range(100, 119));
do {
    run([3]);
    clearstatcache();
} while (!file_exists("$folder/done"));
echo "own $right right, $wrong wrong\n";
