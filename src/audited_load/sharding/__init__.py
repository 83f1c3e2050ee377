"""One large file, cleaned in shards by several machines: cut, cleaned shard by shard, gathered."""
