# SPDX-License-Identifier: MIT
"""A command for the tests of exitfd init: tells each signal that it gets, and who it is; ends at SIGUSR2.

With --family it forks, and both tell."""
import os
import signal
import sys



def tell(what):
    os.write(1, f"{name} {what}\n".encode())  # at once: both write into one pipe


everything = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, everything)
name = "command"
if "--family" in sys.argv and os.fork() == 0:
    name = "child"
tell("ready")
signo = 0
while signo != signal.SIGUSR2:
    signo = signal.sigwait(everything)
    tell(int(signo))
