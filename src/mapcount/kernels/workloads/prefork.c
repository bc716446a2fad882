/*
 * A prefork server: the parent builds its heap, then forks workers that read all over it, change some of it, and end.
 *
 * Always the same: numbers are drawn from a fixed seed. Runs to its end and exits with 0.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OBJECTS = 40000, WORKERS = 7, GENERATIONS = 3, REQUESTS = 300, LOOKS = 50, HEAP_STEP = 64 << 20 };

static unsigned long long state = 88172645463325252ULL;
static char *objects[OBJECTS];
static unsigned sizes[OBJECTS];

/* xorshift64 (G. Marsaglia, "Xorshift RNGs", 2003) */
static unsigned draw(unsigned below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static void make(unsigned number)
{
	objects[number] = malloc(sizes[number]);
	if (!objects[number])
		_exit(1);
	memset(objects[number], 1, sizes[number]);
}

static void serve(int worker)
{
	state += worker * 7919;
	for (int request = 0; request < REQUESTS; request++) {
		char *answer = malloc(1 << (8 + draw(9)));
		if (!answer)
			_exit(1);
		for (int look = 0; look < LOOKS; look++)
			answer[look] = objects[draw(OBJECTS)][0];
		objects[draw(OBJECTS)][0]++;	/* as counts of references and caches are */
		if (request % 50 == 49) {
			unsigned number = draw(OBJECTS);
			free(objects[number]);
			make(number);
		}
		free(answer);
	}
	_exit(0);
}

int main(void)
{
	int status, failed = 0;

	/* The heap grows in large steps, as those of allocators do that want large folios. */
	mallopt(M_TOP_PAD, HEAP_STEP);
	for (unsigned number = 0; number < OBJECTS; number++) {
		sizes[number] = 64 + draw(3000);
		make(number);
	}
	for (int generation = 0; generation < GENERATIONS; generation++) {
		for (int worker = 0; worker < WORKERS; worker++)
			if (!fork())
				serve(worker + generation * WORKERS);
		while (wait(&status) > 0) {
			failed |= status;
			objects[draw(OBJECTS)][0]++;
		}
	}
	return failed != 0;
}
