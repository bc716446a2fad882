/* large-mapcount (Linux 6.12) by hand, for folios that PTEs map: what compiled replay is measured against. */
#include <stddef.h>
#include <stdint.h>

enum { OP_MAP = 2, OP_UNMAP = 4, KIND_ANON = 0, ENTIRELY_MAPPED = 0x800000 };

struct memory {
	int32_t *mapcount;         /* by page */
	int32_t *large_mapcount;   /* by folio, as all that follow */
	int32_t *nr_pages_mapped;
	int64_t *anon_mapped;
	uint8_t *deferred;
	uint8_t *partially_mapped;
	const uint8_t *kind;
	const uint8_t *order;
	const int64_t *base;
};

static void map_ptes(struct memory *m, uint32_t folio, int64_t page, int64_t nr)
{
	int32_t first = 0;

	for (int64_t i = page; i < page + nr; i++)
		first += ++m->mapcount[i] == 0;
	if (first) {
		m->nr_pages_mapped[folio] += first;
		if (m->nr_pages_mapped[folio] < ENTIRELY_MAPPED)
			m->anon_mapped[folio] += first;
	}
	m->large_mapcount[folio] += nr;
}

static void unmap_ptes(struct memory *m, uint32_t folio, int64_t page, int64_t nr)
{
	int32_t last = 0;

	m->large_mapcount[folio] -= nr;
	for (int64_t i = page; i < page + nr; i++)
		last += --m->mapcount[i] < 0;
	if (!last)
		return;
	m->nr_pages_mapped[folio] -= last;
	if (m->nr_pages_mapped[folio] >= ENTIRELY_MAPPED)
		return;
	if (m->nr_pages_mapped[folio] && m->kind[folio] == KIND_ANON && !m->partially_mapped[folio] &&
	    m->order[folio] > 1)
		m->deferred[folio] = m->partially_mapped[folio] = 1;
	m->anon_mapped[folio] -= last;
}

void replay(struct memory *m, const uint8_t *op, const uint32_t *folio, const uint32_t *first_page,
	    const uint32_t *nr_pages, int64_t rows)
{
	for (int64_t row = 0; row < rows; row++) {
		int64_t page = m->base[folio[row]] + first_page[row];

		switch (op[row]) {
		case OP_MAP:
			map_ptes(m, folio[row], page, nr_pages[row]);
			break;
		case OP_UNMAP:
			unmap_ptes(m, folio[row], page, nr_pages[row]);
			break;
		}
	}
}
