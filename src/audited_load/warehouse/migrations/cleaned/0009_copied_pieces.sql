-- Which pieces of a load's cleaned files are in the incoming table: a row is written in the transaction that copies its
-- piece, and forgotten in the one that makes the table anew (docs/adr/0043).
create table if not exists {copied_pieces} (
    load_id bigint not null references {loads} (load_id),
    piece integer not null check (piece >= 0),
    pieces integer not null check (pieces > piece),
    rows bigint not null check (rows >= 0),
    copied_at timestamptz not null default now(),
    primary key (load_id, piece)
);
