-- A failed payment keeps no token: the request that tries again brings it.
update payment set token = null where status = 'failed' and token is not null;
