/*
 * An allocator under stress: threads that allocate and free blocks of all sizes in random order, and give memory back.
 *
 * Each thread draws from a fixed seed. Runs to its end and exits with 0.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, BLOCKS = 2000, ROUNDS = 30000, TRIM = 5000 };

static void *stress(void *number)
{
	unsigned long long state = 88172645463325252ULL + (long)number * 104729;
	char *blocks[BLOCKS] = { 0 };
	for (int round = 0; round < ROUNDS; round++) {
		/* xorshift64 (G. Marsaglia, "Xorshift RNGs", 2003) */
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		int at = state % BLOCKS;
		/* One block in 32 is large: malloc() maps it by itself. */
		size_t size = state >> 20 & 31 ? 16 + (state >> 30) % 20000 : 100000 + (state >> 30) % 900000;
		if (blocks[at] && (state >> 50 & 3) == 0) {
			blocks[at] = realloc(blocks[at], size);
		} else {
			free(blocks[at]);
			blocks[at] = malloc(size);
		}
		if (!blocks[at])
			return number;
		memset(blocks[at], 1, size);
		if (round % TRIM == TRIM - 1)
			malloc_trim(0);
	}
	for (int at = 0; at < BLOCKS; at++)
		free(blocks[at]);
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	void *result;
	int failed = 0;

	for (long number = 0; number < THREADS; number++)
		if (pthread_create(&threads[number], NULL, stress, (void *)(number + 1)))
			return 1;
	for (int number = 0; number < THREADS; number++) {
		pthread_join(threads[number], &result);
		failed |= result != NULL;
	}
	return failed;
}
