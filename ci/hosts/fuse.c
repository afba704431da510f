/* SPDX-License-Identifier: MIT */
/*
 * libfuse for a process that is not root: fuse_mount and fuse_unmount of an
 * empty file system. Each starts fusermount3 and waits for it. All of it is in
 * a mount namespace of its own, so nothing stays mounted.
 */
#define FUSE_USE_VERSION 31
#include <fuse.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char mount_point[300], device[300];

/* Lets an ordinary user open /dev/fuse, as udev does. */
static int prepare(const char *folder)
{
    snprintf(device, sizeof device, "%s/device", folder);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    if (mkdir(device, 0755) < 0 || mount("device", device, "tmpfs", 0, NULL) < 0)
        return -1;
    strcat(device, "/fuse");
    if (mknod(device, S_IFCHR, makedev(10, 229)) < 0 || chmod(device, 0666) < 0)
        return -1;
    if (mount(device, "/dev/fuse", NULL, MS_BIND, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
        return -1;
    snprintf(mount_point, sizeof mount_point, "%s/mounted", folder);
    return mkdir(mount_point, 0755);
}

static int is_mounted(void)
{
    char line[1024];
    int found = 0;
    FILE *mounts = fopen("/proc/self/mounts", "re");

    while (mounts && fgets(line, sizeof line, mounts))
        found |= strstr(line, mount_point) != NULL;
    if (mounts)
        fclose(mounts);
    return found;
}

static int mount_and_unmount(void)
{
    char *argv[] = { "fuse-host", NULL };
    struct fuse_args arguments = FUSE_ARGS_INIT(1, argv);
    const struct fuse_operations none = { 0 };
    struct fuse *fuse = fuse_new(&arguments, &none, sizeof none, NULL);
    int was_mounted = fuse && fuse_mount(fuse, mount_point) == 0 && is_mounted();

    if (was_mounted)
        fuse_unmount(fuse);
    if (fuse)
        fuse_destroy(fuse);
    fuse_opt_free_args(&arguments);
    return was_mounted && !is_mounted();
}

int main(void)
{
    char ready[300], done[300];
    int right = 0, wrong = 0;

    snprintf(ready, sizeof ready, "%s/ready", getenv("HOST_FOLDER"));
    snprintf(done, sizeof done, "%s/done", getenv("HOST_FOLDER"));
    if (prepare(getenv("HOST_FOLDER")) < 0) {
        perror("fuse-host: an ordinary user cannot be given /dev/fuse here");
        return 1;
    }
    int first = mount_and_unmount();
    fclose(fopen(ready, "w"));
    while (access(done, F_OK) != 0)
        mount_and_unmount() ? right++ : wrong++;
    printf("own %d right, %d wrong\n", right, wrong);
    return first ? 0 : 1;
}
