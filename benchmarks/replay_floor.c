/*
 * A log of mappings through large-mapcount (Linux 6.12), by hand: what compiled replay is measured against.
 * All operations of a log on small and large folios of any kind; the same rows, words and statistics.
 */
#include <stdint.h>

enum { BIRTH, FIRST_MAP, MAP, DUP, UNMAP, SPLIT_MAPPING, COLLAPSE, FOLIO_SPLIT, DEATH };
enum { PTE, PMD, PUD };
enum { ANON, SHMEM, FILE_, HUGETLB, KSM };
enum { NR_ANON_MAPPED, NR_FILE_MAPPED, NR_ANON_THPS, NR_SHMEM_PMDMAPPED, NR_FILE_PMDMAPPED, NR_STATS };
enum { ENTIRELY_MAPPED = 0x800000 };

struct memory {
	int32_t *mapcount;         /* by page, as the next one */
	uint8_t *anon_exclusive;
	int32_t *large_mapcount;   /* by folio, as all that follow */
	int32_t *entire_mapcount;
	int32_t *nr_pages_mapped;
	int64_t *stats;            /* NR_STATS times all folios */
	uint8_t *deferred;
	uint8_t *partially_mapped;
	const uint8_t *pinned;
	const uint8_t *swapcache;
	const uint8_t *kind;
	const uint8_t *order;
	const int64_t *base;
	int64_t folios;
};

static int is_anon(const struct memory *m, int64_t folio)
{
	return m->kind[folio] == ANON || m->kind[folio] == KSM;
}

static void mod_mapped(struct memory *m, int64_t folio, int64_t pages)
{
	if (pages)
		m->stats[(is_anon(m, folio) ? NR_ANON_MAPPED : NR_FILE_MAPPED) * m->folios + folio] += pages;
}

static void mod_pmdmapped(struct memory *m, int64_t folio, int64_t pages)
{
	int stat = is_anon(m, folio) ? NR_ANON_THPS :
		   m->kind[folio] == SHMEM ? NR_SHMEM_PMDMAPPED : NR_FILE_PMDMAPPED;

	m->stats[stat * m->folios + folio] += pages;
}

static void queue(struct memory *m, int64_t folio, int order)
{
	if (is_anon(m, folio) && !m->partially_mapped[folio] && order > 1 && !m->swapcache[folio])
		m->deferred[folio] = m->partially_mapped[folio] = 1;
}

static void new_ptes(struct memory *m, int64_t folio, int order, int64_t page, int64_t nr)
{
	for (int64_t i = page; i < page + nr; i++) {
		m->mapcount[i] = 0;
		m->anon_exclusive[i] = 1;
	}
	if (order) {
		m->large_mapcount[folio] = nr - 1;
		m->nr_pages_mapped[folio] = nr;
	}
	mod_mapped(m, folio, nr);
}

static void map_ptes(struct memory *m, int64_t folio, int order, int64_t page, int64_t nr)
{
	int64_t first = 0;

	for (int64_t i = page; i < page + nr; i++)
		first += ++m->mapcount[i] == 0;
	if (order) {
		if (first && (m->nr_pages_mapped[folio] += first) >= ENTIRELY_MAPPED)
			first = 0;
		m->large_mapcount[folio] += nr;
	}
	mod_mapped(m, folio, first);
}

static void unmap_ptes(struct memory *m, int64_t folio, int order, int64_t page, int64_t nr)
{
	int64_t last = 0;

	if (order)
		m->large_mapcount[folio] -= nr;
	for (int64_t i = page; i < page + nr; i++)
		last += --m->mapcount[i] < 0;
	if (order) {
		if (last && (m->nr_pages_mapped[folio] -= last) >= ENTIRELY_MAPPED)
			last = 0;
		if (last && m->nr_pages_mapped[folio])
			queue(m, folio, order);
	}
	mod_mapped(m, folio, -last);
}

static int dup_ptes(struct memory *m, int64_t folio, int order, int64_t page, int64_t nr)
{
	if (is_anon(m, folio)) {
		if (m->pinned[folio])
			for (int64_t i = page; i < page + nr; i++)
				if (m->anon_exclusive[i])
					return 1;
		for (int64_t i = page; i < page + nr; i++)
			m->anon_exclusive[i] = 0;
	}
	for (int64_t i = page; i < page + nr; i++)
		m->mapcount[i]++;
	if (order)
		m->large_mapcount[folio] += nr;
	return 0;
}

static void new_pmd(struct memory *m, int64_t folio, int order, int64_t page)
{
	m->entire_mapcount[folio] = 0;
	m->large_mapcount[folio] = 0;
	m->nr_pages_mapped[folio] = ENTIRELY_MAPPED;
	m->anon_exclusive[page] = 1;
	mod_pmdmapped(m, folio, 1L << order);
	mod_mapped(m, folio, 1L << order);
}

static void map_pmd(struct memory *m, int64_t folio, int order)
{
	int64_t nr;

	m->large_mapcount[folio]++;
	if (++m->entire_mapcount[folio])
		return;
	nr = m->nr_pages_mapped[folio] += ENTIRELY_MAPPED;
	if (nr >= 2 * ENTIRELY_MAPPED)
		return;
	nr = (1L << order) - (nr & (ENTIRELY_MAPPED - 1));
	mod_pmdmapped(m, folio, 1L << order);
	mod_mapped(m, folio, nr < 0 ? 0 : nr);
}

static void unmap_pmd(struct memory *m, int64_t folio, int order)
{
	int64_t nr;

	m->large_mapcount[folio]--;
	if (--m->entire_mapcount[folio] >= 0)
		return;
	nr = m->nr_pages_mapped[folio] -= ENTIRELY_MAPPED;
	if (nr >= ENTIRELY_MAPPED)
		return;
	nr = (1L << order) - (nr & (ENTIRELY_MAPPED - 1));
	if (nr < 0)
		nr = 0;
	if (nr && nr < 1L << order)
		queue(m, folio, order);
	mod_pmdmapped(m, folio, -(1L << order));
	mod_mapped(m, folio, -nr);
}

static int dup_pmd(struct memory *m, int64_t folio, int64_t page)
{
	if (is_anon(m, folio)) {
		if (m->pinned[folio] && m->anon_exclusive[page])
			return 1;
		m->anon_exclusive[page] = 0;
	}
	m->entire_mapcount[folio]++;
	m->large_mapcount[folio]++;
	return 0;
}

static void split_pmd(struct memory *m, int64_t folio, int order, int64_t page)
{
	if (m->anon_exclusive[page])
		for (int64_t i = page; i < page + (1L << order); i++)
			m->anon_exclusive[i] = 1;
	map_ptes(m, folio, order, page, 1L << order);
	unmap_pmd(m, folio, order);
}

static void reset(struct memory *m, int64_t folio, int order, int64_t base)
{
	for (int64_t i = base; i < base + (1L << order); i++) {
		m->mapcount[i] = -1;
		m->anon_exclusive[i] = 0;
	}
	m->large_mapcount[folio] = m->entire_mapcount[folio] = -1;
	m->nr_pages_mapped[folio] = m->deferred[folio] = m->partially_mapped[folio] = 0;
	for (int stat = 0; stat < NR_STATS; stat++)
		m->stats[stat * m->folios + folio] = 0;
}

static int hugetlb(struct memory *m, int op, int64_t folio)
{
	int by = op == UNMAP ? -1 : 1;

	m->entire_mapcount[folio] += by;
	m->large_mapcount[folio] += by;
	return 0;
}

static int pmd(struct memory *m, int op, int64_t folio, int order, int64_t base)
{
	switch (op) {
	case FIRST_MAP:
		if (is_anon(m, folio)) {
			new_pmd(m, folio, order, base);
			return 0;
		}
		/* fall through */
	case MAP:
		map_pmd(m, folio, order);
		return 0;
	case DUP:
		return dup_pmd(m, folio, base);
	case UNMAP:
		unmap_pmd(m, folio, order);
		return 0;
	case SPLIT_MAPPING:
		split_pmd(m, folio, order, base);
	}
	return 0;
}

static int ptes(struct memory *m, int op, int64_t folio, int order, int64_t page, int64_t nr)
{
	switch (op) {
	case FIRST_MAP:
		if (is_anon(m, folio)) {
			new_ptes(m, folio, order, page, nr);
			return 0;
		}
		/* fall through */
	case MAP:
		map_ptes(m, folio, order, page, nr);
		return 0;
	case DUP:
		return dup_ptes(m, folio, order, page, nr);
	case UNMAP:
		unmap_ptes(m, folio, order, page, nr);
	}
	return 0;
}

/* The least: no row but of PTEs of large anon folios, nothing checked. Not the same job; for comparison. */
void replay_least(struct memory *m, const uint8_t *op, const uint32_t *folio, const uint32_t *first_page,
		  const uint32_t *nr_pages, int64_t rows)
{
	for (int64_t row = 0; row < rows; row++) {
		int64_t f = folio[row], page = m->base[f] + first_page[row], changed = 0;

		if (op[row] == MAP) {
			for (int64_t i = page; i < page + nr_pages[row]; i++)
				changed += ++m->mapcount[i] == 0;
			m->large_mapcount[f] += nr_pages[row];
			m->nr_pages_mapped[f] += changed;
			m->stats[f] += changed;
		} else {
			m->large_mapcount[f] -= nr_pages[row];
			for (int64_t i = page; i < page + nr_pages[row]; i++)
				changed += --m->mapcount[i] < 0;
			m->nr_pages_mapped[f] -= changed;
			if (changed && m->nr_pages_mapped[f])
				m->deferred[f] = m->partially_mapped[f] = 1;
			m->stats[f] -= changed;
		}
	}
}

/* Returns how many duplications were refused, or -1 if a row cannot be. */
int64_t replay(struct memory *m, const uint8_t *op, const uint8_t *level, const uint32_t *folio,
	       const uint32_t *first_page, const uint32_t *nr_pages, int64_t rows)
{
	int64_t refused = 0;

	for (int64_t row = 0; row < rows; row++) {
		int64_t f = folio[row], base, nr = nr_pages[row];
		int order;

		if (f >= m->folios || op[row] > DEATH || level[row] > PUD)
			return -1;
		order = m->order[f];
		base = m->base[f];
		if (op[row] == BIRTH || op[row] == DEATH) {
			reset(m, f, order, base);
			continue;
		}
		if (op[row] > SPLIT_MAPPING)
			continue;
		if (nr < 1 || first_page[row] + nr > 1L << order)
			return -1;
		if (m->kind[f] == HUGETLB)
			refused += hugetlb(m, op[row], f);
		else if (level[row] != PTE)
			refused += pmd(m, op[row], f, order, base);
		else
			refused += ptes(m, op[row], f, order, base + first_page[row], nr);
	}
	return refused;
}
