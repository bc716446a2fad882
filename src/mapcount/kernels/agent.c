/*
 * The agent: carries out system calls for whoever speaks to it, in as many processes as he wants.
 *
 * It is /init of a guest, where the line is the second serial port, and an ordinary program on a host, where it is a socket
 * on descriptor 0. It decides nothing: what to map where is composed on the other end (driver.py). A command is a line, and
 * each gets one line back; the first thing said is READY. A command begins with a slot: 0 is the server itself, 1..63 are
 * the processes that were forked. Numbers are as in C (0x1f, 31, -1).
 *
 *   SLOT S NR [A0 .. A5]               raw system call; an argument @text is the address of that text    -> = RESULT
 *   SLOT T ADDRESS STRIDE COUNT r|w    read or write a byte at COUNT places                              -> = COUNT
 *   SLOT M ADDRESS COUNT NODE          move COUNT pages to a NUMA node                                   -> = PAGES THERE
 *   SLOT R ADDRESS BYTES               show memory                                                       -> = HEX
 *   SLOT W ADDRESS HEX                 change memory                                                     -> = BYTES
 *   SLOT F NEW                         fork into the free slot NEW                                       -> = PID
 *   SLOT X                             exit, and be reaped                                               -> = 0
 *   SLOT L ADDRESS BYTES OFFSET PATH   load a file into memory, from an offset on, as far as it goes    -> = BYTES LOADED
 *   SLOT P PATH TEXT                   put a text into a file that is there                             -> = BYTES
 *   0 E PATH [ARGUMENT ..]             run a program to its end, without a terminal                      -> = WAIT STATUS
 *   SLOT K NAME ..                     addresses of kernel symbols, 0 for one that is not there          -> = HEX ..
 *
 * T, R and W say "= -14" after SIGSEGV and "= -7" after SIGBUS. "! reason" says that a command could not be carried out at
 * all, or that its process is gone. Once an answer is out, every process waits for the next command: nobody runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { SLOTS = 64, COMMAND = 1 << 14, ANSWER = 1 << 16, NAMES = 64, ARGUMENTS = 16, LOOK_MS = 100, MOVED = 512, MOVE = 2 };

static struct {
	int server, process;	/* the two ends of a socket that keeps messages apart */
	pid_t pid;		/* 0: the slot is free. Known to the server alone. */
} slots[SLOTS];
static pid_t server_pid;
static int line;		/* to whoever commands */
static char command[COMMAND], answer[ANSWER];
static sigjmp_buf fault;

static void say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(answer, sizeof answer, format, arguments);
	va_end(arguments);
}

static void on_fault(int signum)
{
	siglongjmp(fault, signum);
}

static unsigned long number(char **text)
{
	return strtoul(*text, text, 0);
}

static void raw_call(char *text)
{
	long words[7] = { 0 };
	int n = 0;
	for (char *word = strtok(text, " "); word && n < 7; word = strtok(NULL, " "))
		words[n++] = *word == '@' ? (long)(word + 1) : (long)strtoul(word, NULL, 0);
	long result = syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
	say("= %ld", result == -1 ? -errno : result);
}

static void touch(char *text)
{
	unsigned long address = number(&text), stride = number(&text), count = number(&text);
	int write = strchr(text, 'w') != NULL;
	for (unsigned long i = 0; i < count; i++) {
		volatile char *byte = (char *)(address + i * stride);
		if (write)
			*byte = 0x55;
		else
			(void)*byte;
	}
	say("= %lu", count);
}

/* move_pages(2), MOVED pages at a time, then again without nodes: that tells where they lie. */
static void move_pages(char *text)
{
	static void *pages[MOVED];
	static int nodes[MOVED], where[MOVED];
	unsigned long address = number(&text), count = number(&text), there = 0;
	int node = number(&text);
	for (unsigned long done = 0, n; done < count; done += n) {
		n = count - done < MOVED ? count - done : MOVED;
		for (unsigned long i = 0; i < n; i++) {
			pages[i] = (void *)(address + (done + i) * 4096);
			nodes[i] = node;
		}
		if (syscall(SYS_move_pages, 0, n, pages, nodes, where, MOVE) < 0 ||
		    syscall(SYS_move_pages, 0, n, pages, NULL, where, 0) < 0) {
			say("= %d", -errno);
			return;
		}
		for (unsigned long i = 0; i < n; i++)
			there += where[i] == node;
	}
	say("= %lu", there);
}

static void show(char *text)
{
	const unsigned char *byte = (unsigned char *)number(&text);
	unsigned long bytes = number(&text);
	if (bytes > (ANSWER - 3) / 2) {
		say("! more than %d bytes", (ANSWER - 3) / 2);
		return;
	}
	char *out = answer + sprintf(answer, "= ");
	for (unsigned long i = 0; i < bytes; i++, out += 2) {
		out[0] = "0123456789abcdef"[byte[i] >> 4];
		out[1] = "0123456789abcdef"[byte[i] & 15];
	}
	*out = 0;
}

static void change(char *text)
{
	unsigned char *byte = (unsigned char *)number(&text);
	unsigned long bytes = 0;
	char pair[3] = { 0 };
	for (text += *text == ' '; text[0] && text[1]; text += 2, bytes++) {
		memcpy(pair, text, 2);
		byte[bytes] = strtoul(pair, NULL, 16);
	}
	say("= %lu", bytes);
}

static void load_file(char *text)
{
	char *buffer = (char *)number(&text);
	unsigned long bytes = number(&text), offset = number(&text), done = 0;
	ssize_t got = -1;
	int fd = open(text + 1, O_RDONLY);

	while (fd >= 0 && (got = pread(fd, buffer + done, bytes - done, offset + done)) > 0)
		done += got;
	say("= %ld", got < 0 ? -(long)errno : (long)done);
	close(fd);
}

static void put_text(char *text)
{
	char *path = strtok(text, " "), *put = strtok(NULL, " ");
	ssize_t done = -1;
	int fd = open(path, O_WRONLY);

	if (fd >= 0)
		done = write(fd, put, strlen(put));
	say("= %ld", done < 0 ? -(long)errno : (long)done);
	close(fd);
}

/* A line of /proc/kallsyms is ADDRESS TYPE NAME[\tMODULE]. Of names that occur twice the first counts. */
static void look_up(char *text)
{
	static char names[COMMAND], chunk[4096];
	char *wanted[NAMES], row[256];
	unsigned long found[NAMES] = { 0 };
	int n = 0, left, fd = open("/proc/kallsyms", O_RDONLY);
	size_t length = 0;
	ssize_t got;

	strcpy(names, text);
	for (char *word = strtok(names, " "); word && n < NAMES; word = strtok(NULL, " "))
		wanted[n++] = word;
	for (left = n; left && (got = read(fd, chunk, sizeof chunk)) > 0;) {
		for (ssize_t i = 0; i < got; i++) {
			if (chunk[i] != '\n') {
				if (length < sizeof row - 1)
					row[length++] = chunk[i];
				continue;
			}
			row[length] = 0;
			length = 0;
			char *name;
			unsigned long address = strtoul(row, &name, 16);
			if (strlen(name) < 3)
				continue;
			name += 3;
			name[strcspn(name, "\t")] = 0;
			for (int k = 0; k < n; k++)
				if (!found[k] && !strcmp(name, wanted[k])) {
					found[k] = address;
					left--;
				}
		}
	}
	close(fd);
	char *out = answer + sprintf(answer, "=");
	for (int k = 0; k < n; k++)
		out += sprintf(out, " %lx", found[k]);
}

/* Only the server does: the processes of others have no line to close. */
static void run_program(char *text)
{
	char *arguments[ARGUMENTS + 1] = { 0 }, *environment[] = { "PATH=/bin", "TMPDIR=/", NULL };
	int n = 0, status = 0;
	for (char *word = strtok(text, " "); word && n < ARGUMENTS; word = strtok(NULL, " "))
		arguments[n++] = word;
	if (!n) {
		say("! which program?");
		return;
	}
	pid_t pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int stream = 0; stream < 3; stream++)
			if (null < 0 || dup2(null, stream) < 0)
				close(stream);
		if (line > 2)
			close(line);
		execve(arguments[0], arguments, environment);
		_exit(127);
	}
	if (pid < 0)
		status = -errno;
	else
		waitpid(pid, &status, 0);
	say("= %d", status);
}

/* What any process does: one command, whose answer is in `answer` afterwards. */
static void carry_out(char *text)
{
	char verb = *text++;
	int signum = sigsetjmp(fault, 1);
	if (signum)
		say("= %d", signum == SIGBUS ? -7 : -14);
	else if (verb == 'S')
		raw_call(text);
	else if (verb == 'T')
		touch(text);
	else if (verb == 'M')
		move_pages(text);
	else if (verb == 'R')
		show(text);
	else if (verb == 'W')
		change(text);
	else if (verb == 'L')
		load_file(text);
	else if (verb == 'P')
		put_text(text);
	else if (verb == 'K')
		look_up(text);
	else
		say("! no such command: %c", verb);
}

static void send_answer(int slot)
{
	send(slots[slot].process, answer, strlen(answer) + 1, 0);
}

/* Every process is a child of the server (CLONE_PARENT), which thus reaps it, and dies with it. */
static void begin_process(int slot)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != server_pid)
		_exit(1);
	say("= 0");
	send_answer(slot);
}

static void serve_process(int slot)
{
	begin_process(slot);
	for (;;) {
		if (recv(slots[slot].process, command, sizeof command, 0) <= 0 || *command == 'X')
			_exit(0);
		if (*command != 'F') {
			carry_out(command);
		} else {
			pid_t pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
			if (!pid) {
				slot = atoi(command + 1);
				begin_process(slot);
				continue;
			}
			say("= %d", pid < 0 ? -errno : pid);
		}
		send_answer(slot);
	}
}

static void end_all(void)
{
	for (int slot = 1; slot < SLOTS; slot++)
		if (slots[slot].pid)
			kill(slots[slot].pid, SIGKILL);
	while (wait(NULL) > 0)
		;
	exit(0);
}

/*
 * Wait for the answer of a process. It may die instead, and nobody would tell: the other ends of its socket stay open. Who
 * commands may go away meanwhile.
 */
static void await_answer(int slot)
{
	struct pollfd ready[2] = { { .fd = slots[slot].server, .events = POLLIN }, { .fd = line } };
	int status;
	for (;;) {
		poll(ready, 2, LOOK_MS);
		if (ready[0].revents & POLLIN)
			break;
		if (ready[1].revents)
			end_all();
		if (waitpid(slots[slot].pid, &status, WNOHANG) == slots[slot].pid) {
			slots[slot].pid = 0;
			say("! the process in slot %d is gone (%s %d)", slot, WIFSIGNALED(status) ? "signal" : "exit code",
			    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			return;
		}
	}
	recv(slots[slot].server, answer, sizeof answer, 0);
}

static void ask(int slot, const char *text)
{
	send(slots[slot].server, text, strlen(text) + 1, 0);
	await_answer(slot);
}

static void fork_into(int slot, const char *text)
{
	int new = atoi(text + 1);
	if (new < 1 || new >= SLOTS || slots[new].pid) {
		say("! slot %d is not free", new);
		return;
	}
	if (slot) {
		ask(slot, text);
	} else {
		pid_t pid = fork();
		if (!pid) {
			close(line);
			serve_process(new);
		}
		say("= %d", pid < 0 ? -errno : pid);
	}
	long pid = *answer == '=' ? atol(answer + 1) : -1;
	if (pid <= 0)
		return;
	slots[new].pid = pid;
	await_answer(new);	/* else the child might still be on its way while others are looked at */
	if (*answer == '=')
		say("= %ld", pid);
}

static void serve(char *text)
{
	int slot = strtol(text, &text, 10);
	text += *text == ' ';
	if (slot < 0 || slot >= SLOTS || (slot && !slots[slot].pid)) {
		say("! slot %d has no process", slot);
	} else if (*text == 'F') {
		fork_into(slot, text);
	} else if (!slot && *text == 'E') {
		run_program(text + 1);
	} else if (!slot) {
		carry_out(text);
	} else if (*text == 'X') {
		send(slots[slot].server, text, strlen(text) + 1, 0);
		waitpid(slots[slot].pid, NULL, 0);
		slots[slot].pid = 0;
		say("= 0");
	} else {
		ask(slot, text);
	}
}

static void put(const char *text)
{
	for (size_t left = strlen(text); left;) {
		ssize_t put = write(line, text, left);
		if (put < 0 && errno != EINTR)
			end_all();
		if (put > 0) {
			text += put;
			left -= put;
		}
	}
}

static void begin_guest(void)
{
	struct termios settings;
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL))
		mknod("/dev/ttyS1", S_IFCHR | 0600, makedev(4, 65));
	line = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
	tcgetattr(line, &settings);
	cfmakeraw(&settings);
	cfsetspeed(&settings, B115200);
	tcsetattr(line, TCSANOW, &settings);
}

/*
 * Its own memory (program, stack, and what libc has) never gets a large folio, whatever is switched on. Nothing else is
 * mapped yet. The call fails at the gaps, after it has done what it can.
 */
static void keep_own_memory_small(void)
{
	madvise((void *)4096, (1UL << 47) - 3 * 4096, MADV_NOHUGEPAGE);
}

int main(void)
{
	static char text[COMMAND];
	size_t have = 0;

	keep_own_memory_small();
	server_pid = getpid();
	if (server_pid == 1)	/* the kernel hands words of its command line to /init: they tell nothing */
		begin_guest();
	else
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	for (int slot = 1; slot < SLOTS; slot++) {
		int ends[2];
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
			return 1;
		slots[slot].server = ends[0];
		slots[slot].process = ends[1];
	}
	put("READY\n");
	for (;;) {
		char *end;
		while (!(end = memchr(text, '\n', have))) {
			ssize_t got = have < sizeof text ? read(line, text + have, sizeof text - have) : 0;
			if (got > 0)
				have += got;
			else if (got == 0 || errno != EINTR)
				end_all();
		}
		*end++ = 0;
		serve(text);
		put(answer);
		put("\n");
		have -= end - text;
		memmove(text, end, have);
	}
}
