"""What user space would read under a way of counting: smaps, pagemap, kpagecount, meminfo, memcg, mTHP statistics."""
