// SPDX-License-Identifier: MIT
// Java's ProcessBuilder.
import java.nio.file.*;
import java.util.*;

class Host {
    static int right, wrong;

    static Process start(int status) throws Exception {
        return new ProcessBuilder(System.getenv("HOST_LEAF"), "" + status).start();
    }

    static void judge(Process child, int status) throws Exception {
        if (child.waitFor() == status) right++; else wrong++;
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Paths.get(System.getenv("HOST_FOLDER"));
        start(0).waitFor();
        Files.createFile(folder.resolve("ready"));
        List<Process> children = new ArrayList<>();
        for (int i = 0; i < 20; i++) children.add(start(100 + i));
        for (int i = 0; i < 20; i++) judge(children.get(i), 100 + i);
        while (!Files.exists(folder.resolve("done"))) judge(start(3), 3);
        System.out.println("own " + right + " right, " + wrong + " wrong");
    }
}
