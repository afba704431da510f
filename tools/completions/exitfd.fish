# SPDX-License-Identifier: MIT
# fish completion for exitfd(1)

function __exitfd_is
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = $argv[1]
end

complete -c exitfd -n __fish_use_subcommand -f -a wait -d 'Wait for any processes and tell how each ended'
complete -c exitfd -n __fish_use_subcommand -f -a run -d 'Run the command lines of a file, several at a time'
complete -c exitfd -n __fish_use_subcommand -f -a init -d 'Be PID 1 of a container, or a sub-reaper'
complete -c exitfd -n __fish_use_subcommand -f -a doctor -d 'Tell what this machine and environment offer'
complete -c exitfd -n __fish_use_subcommand -l version -d 'Print versions'
complete -c exitfd -s h -l help -d 'Print help'

complete -c exitfd -n '__exitfd_is wait' -f -a '(__fish_complete_pids)'
complete -c exitfd -n '__exitfd_is wait' -s t -l timeout -x -d 'Give up after so many seconds'
complete -c exitfd -n '__exitfd_is wait' -s n -l count -x -d 'Return when so many have ended'
complete -c exitfd -n '__exitfd_is wait' -l json -d 'Print JSON'

complete -c exitfd -n '__exitfd_is run' -s 0 -l null -d 'Lines end with a null byte'
complete -c exitfd -n '__exitfd_is run' -s j -l jobs -x -d 'Run so many at a time'
complete -c exitfd -n '__exitfd_is run' -s t -l timeout -x -d 'End a command that runs longer'
complete -c exitfd -n '__exitfd_is run' -s K -l kill-after -x -d 'SIGKILL so long after SIGTERM'
complete -c exitfd -n '__exitfd_is run' -s f -l fail-fast -d 'End all when one fails'
complete -c exitfd -n '__exitfd_is run' -s k -l keep-order -d 'Print the outputs in the order of the list'
complete -c exitfd -n '__exitfd_is run' -l json -d 'Print JSON'
complete -c exitfd -n '__exitfd_is run' -l output-limit -x -d 'End a command that prints more'
complete -c exitfd -n '__exitfd_is run' -s p -l progress -x -d 'Seconds between two status lines'
complete -c exitfd -n '__exitfd_is run' -s s -l summary -x -d 'Rows of the table at the end'
complete -c exitfd -n '__exitfd_is run' -s q -l quiet -d 'Only the outputs of the commands'

complete -c exitfd -n '__exitfd_is init' -f -a '(__fish_complete_command)'
complete -c exitfd -n '__exitfd_is init' -s e -l remap -x -d 'Exit with 0 for this status'
complete -c exitfd -n '__exitfd_is init' -s g -l group -d 'Forward signals to the process group'
complete -c exitfd -n '__exitfd_is init' -s K -l kill-after -x -d 'End what is left, SIGKILL after so many seconds'
complete -c exitfd -n '__exitfd_is init' -s p -l parent-death -x -a '(string split " " (kill -l))' -d 'Signal when the parent dies'
complete -c exitfd -n '__exitfd_is init' -s v -l verbose -d 'Tell of signals and orphans'
complete -c exitfd -n '__exitfd_is init' -s w -l warn -d 'Tell of orphans'

complete -c exitfd -n '__exitfd_is doctor' -f
complete -c exitfd -n '__exitfd_is doctor' -l json -d 'Print JSON'
