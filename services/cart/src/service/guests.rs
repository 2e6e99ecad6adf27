//! Use cases of guests' carts that the carts of users do not have: creation, the owner of a token, the merge at login.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{CartId, ProductId, Secret, UserId, client_address};

use super::{CartService, Error};
use crate::{
    domain::{Cart, Contents, LINES_MAX, Owner, QuoteResult, View},
    ports::{CartError, CatalogUnavailable, NewGuestCart, StoreError},
};

/// Attempts to merge a guest's cart that changes meanwhile.
const MERGE_ATTEMPTS_MAX: u32 = 10;

/// Scope of the keys of creations, which have no user; must never change, because stored keys have it.
const CREATION_SCOPE: &str = "guest-carts";

/// What makes a repeated creation the same one. Its visitor has no login: who has the key is the visitor.
#[derive(Clone, Debug)]
pub struct CreationKey {
    /// What the visitor sent, as secret as the token that it stands for.
    pub key: Secret,
    /// Method and path.
    pub route: String,
    /// SHA-256 of the body.
    pub hash: [u8; 32],
}

impl CartService {
    /// Creates an empty cart for a guest and returns its token with its view; a repetition of `request` returns both once
    /// more. Clients of one public address create a limited number; an address that is not public is a proxy's, and not
    /// limited.
    pub async fn create_guest_cart(
        &self,
        address: Option<IpAddr>,
        request: Option<&CreationKey>,
    ) -> Result<(Secret, View), Error> {
        let Some(request) = request else {
            self.take_guest_cart(address).await?;
            let (token, digest) = self.tokens.draw()?;
            let new = NewGuestCart { id: CartId::new(self.ids.next()), token: digest };
            return Ok((token, view(&self.store.create_guest_cart(&new, &DedupKey::None).await?.into_inner())));
        };
        let dedup_key = self.creation(request);
        if let Some(created) = self.store.created_guest_cart(&dedup_key).await? {
            return self.created_before(request, &created);
        }
        self.take_guest_cart(address).await?;
        let id = CartId::new(self.ids.next());
        let (token, digest) = self.tokens.derive(&request.key, id)?;
        match self.store.create_guest_cart(&NewGuestCart { id, token: digest }, &dedup_key).await? {
            Outcome::Applied(created) => Ok((token, view(&created))),
            Outcome::Duplicate(created) => self.created_before(request, &created),
        }
    }

    /// The key as it is stored: a digest, so that a reader of the database cannot send the key.
    fn creation(&self, request: &CreationKey) -> DedupKey {
        let CreationKey { key, route, hash } = request;
        let key = self.tokens.digest(key).to_string();
        DedupKey::Request { scope: CREATION_SCOPE.to_owned(), key, route: route.clone(), hash: *hash }
    }

    fn created_before(&self, request: &CreationKey, created: &NewGuestCart) -> Result<(Secret, View), Error> {
        let token = self.tokens.derive_again(&request.key, created).ok_or(Error::NotRepeatable)?;
        Ok((token, view(created)))
    }

    /// Counts a cart of the address.
    async fn take_guest_cart(&self, address: Option<IpAddr>) -> Result<(), Error> {
        if let Some(limit) = &self.guest_limit
            && let Some(address) = client_address(address)
        {
            limit.take(address).await.map_err(|retry_after| Error::TooManyGuestCarts { retry_after })?;
        }
        Ok(())
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

/// A cart as it was created.
fn view(created: &NewGuestCart) -> View {
    let cart = Cart::of_guest(created.id, created.token);
    Contents { cart, copies: BTreeMap::new() }.view(&QuoteResult::default())
}
