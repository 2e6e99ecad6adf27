-- Makes generation $1, which its builder $2 has completed, the one that searches read.
update index_generation
set state = 'live', built_at = now(), updated_at = now()
where number = $1 and builder = $2 and state = 'building'
