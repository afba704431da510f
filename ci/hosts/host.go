// SPDX-License-Identifier: MIT
// Go's os/exec, in a program with cgo: one without it has no libc to load us.
package main

import "C"
import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

func start(status int) *exec.Cmd {
	child := exec.Command(os.Getenv("HOST_LEAF"), strconv.Itoa(status))
	if err := child.Start(); err != nil {
		panic(err)
	}
	return child
}

func main() {
	right, wrong := 0, 0
	judge := func(child *exec.Cmd, status int) {
		child.Wait()
		if child.ProcessState.ExitCode() == status {
			right++
		} else {
			wrong++
		}
	}
	start(0).Wait()
	os.WriteFile(os.Getenv("HOST_FOLDER")+"/ready", nil, 0644)
	var children []*exec.Cmd
	for i := 0; i < 20; i++ {
		children = append(children, start(100+i))
	}
	for i, child := range children {
		judge(child, 100+i)
	}
	for {
		if _, err := os.Stat(os.Getenv("HOST_FOLDER") + "/done"); err == nil {
			break
		}
		judge(start(3), 3)
	}
	fmt.Printf("own %d right, %d wrong\n", right, wrong)
}
