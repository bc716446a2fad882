/*
 * Runs a command and reports what it cost: user and system CPU and wall seconds, peak resident memory, exit status.
 *
 * timed REPORT COMMAND...     writes one JSON line to the file REPORT; the command keeps stdin, stdout and stderr
 *
 * A small program of its own because the kernel keeps the peak of the memory a process had before execve()
 * (fs/exec.c, setmax_mm_hiwater_rss): started from Python, every tool would seem to need at least Python's memory.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
	return t.tv_sec + t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct timespec begin, end;
	struct rusage used;
	int status = 0;
	FILE *report;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: timed REPORT COMMAND...\n");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid = vfork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid) {
		perror("timed");
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	report = fopen(argv[1], "w");
	if (!report) {
		perror(argv[1]);
		return 1;
	}
	fprintf(report, "{\"user_s\": %.6f, \"system_s\": %.6f, \"wall_s\": %.6f, \"peak_rss_bytes\": %lld, \"status\": %d}\n",
		seconds(used.ru_utime), seconds(used.ru_stime),
		(end.tv_sec - begin.tv_sec) + (end.tv_nsec - begin.tv_nsec) / 1e9, used.ru_maxrss * 1024ll,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(report) != 0;
}
