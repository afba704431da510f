#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Twisted, by an IReadDescriptor.

The sharp edge: reactor.run installs a SIGCHLD handler of its own for reactor.spawnProcess, over that of a self-pipe exitfd
that is already open; installSignalHandlers=False leaves SIGCHLD alone, and SIGINT and SIGTERM to you. And connectionLost is called when doRead
raised, but also for each reader that is still there when the reactor stops."""
from children import CHILDREN, must_open, print_ends, start_children
from twisted.internet import reactor
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer


@implementer(IReadDescriptor)
class Exits:
    def __init__(self, x):
        self.x = x
        self.left = CHILDREN

    def fileno(self):
        return self.x.fileno()

    def logPrefix(self):
        return "exitfd"

    def doRead(self):
        self.left -= print_ends(self.x)
        if self.left == 0:
            reactor.removeReader(self)
            reactor.stop()

    def connectionLost(self, reason):
        reactor.stop()


with must_open() as x:
    reactor.addReader(Exits(x))
    start_children(x)
    reactor.run(installSignalHandlers=False)
