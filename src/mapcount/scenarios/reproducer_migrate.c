/* ---- NUMA nodes: pages are moved between them. ---- */

#include <sys/syscall.h>

enum { MOVED = 512, MOVE = 2 };

static void skip_all(const char *why);

/* Move pages, so many at a time; return how many of them lie on the node then. */
static inline long move_to_node(unsigned long address, unsigned long pages, int node)
{
	static void *places[MOVED];
	static int nodes[MOVED], where[MOVED];
	long there = 0;

	for (unsigned long done = 0, n; done < pages; done += n) {
		n = pages - done < MOVED ? pages - done : MOVED;
		for (unsigned long i = 0; i < n; i++) {
			places[i] = (void *)(address + (done + i) * PAGE);
			nodes[i] = node;
		}
		if (syscall(SYS_move_pages, 0, n, places, nodes, where, MOVE) < 0 ||
		    syscall(SYS_move_pages, 0, n, places, NULL, where, 0) < 0)
			return -errno;
		for (unsigned long i = 0; i < n; i++)
			there += where[i] == node;
	}
	return there;
}

/* What is new is to come from node 0: run where its processors are, as numactl --cpunodebind=0 does. */
static inline void need_nodes(int wanted)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", wanted - 1);
	if (access(path, F_OK))
		skip_all("this machine has fewer NUMA nodes");
}
