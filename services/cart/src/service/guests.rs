//! Use cases of guests' carts that the carts of users do not have: creation, the owner of a token, the merge at login.

use std::{collections::BTreeSet, net::IpAddr};

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{ProductId, Secret, UserId, client_address};

use super::{CartService, Error};
use crate::{
    domain::{LINES_MAX, Owner, QuoteResult, View},
    ports::{CartError, CatalogUnavailable, StoreError},
};

/// Attempts to merge a guest's cart that changes meanwhile.
const MERGE_ATTEMPTS_MAX: u32 = 10;

impl CartService {
    /// Creates an empty cart for a guest and returns its token with its view. Clients of one public address create a limited
    /// number; an address that is not public is a proxy's, and not limited.
    pub async fn create_guest_cart(&self, address: Option<IpAddr>) -> Result<(Secret, View), Error> {
        if let Some(limit) = &self.guest_limit
            && let Some(address) = client_address(address)
        {
            limit.take(address).await.map_err(|retry_after| Error::TooManyGuestCarts { retry_after })?;
        }
        let (token, digest) = self.tokens.draw()?;
        let contents = self.store.create_guest_cart(digest).await?;
        Ok((token, contents.view(&QuoteResult::default())))
    }

    /// The owner that a token stands for. No cart may have it.
    pub fn guest(&self, token: &Secret) -> Owner {
        Owner::Guest(self.tokens.digest(token))
    }

    /// Adds the lines of a guest's cart to the user's cart, deletes the guest's cart and returns the user's. A duplicate of
    /// `dedup_key` returns the first result; of several merges of one cart, one succeeds and the others find no cart.
    pub async fn merge(&self, user: UserId, token: &Secret, dedup_key: &DedupKey) -> Result<Outcome<View>, Error> {
        for _ in 0..MERGE_ATTEMPTS_MAX {
            let guest = match self.store.find(self.guest(token)).await {
                Ok(guest) => guest,
                Err(CartError::NoCart) => return self.stored_or(dedup_key, Error::NoCart).await,
                Err(error) => return Err(error.into()),
            };
            let cart = self.store.find(user.into()).await?;
            let products = cart.cart.products().union(&guest.cart.products()).copied().collect();
            let quote = match self.quote_all(&products).await {
                Ok(quote) => quote,
                Err(error) => return self.stored_or(dedup_key, error.into()).await,
            };
            if let Some(merged) = self.store.merge(cart, &guest, &quote, dedup_key).await? {
                return Ok(merged);
            }
        }
        Err(StoreError::Running.into())
    }

    /// Requests quotes for the products of two carts.
    async fn quote_all(&self, products: &BTreeSet<ProductId>) -> Result<QuoteResult, CatalogUnavailable> {
        let products: Vec<_> = products.iter().copied().collect();
        let mut all = QuoteResult::default();
        for page in products.chunks(LINES_MAX) {
            all.0.extend(self.quote(page).await?.0);
        }
        Ok(all)
    }
}
