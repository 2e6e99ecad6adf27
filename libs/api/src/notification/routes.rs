//! Routes of the notification service.

use crate::{
    Policy::{self, Open, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC {
        /// A page of the user's notifications, newest first.
        LIST = Get "/api/v1/notifications" User;
        /// Marks several of the user's notifications as read, or all of them.
        MARK_MANY = Patch "/api/v1/notifications/read" User;
        /// Marks a notification as read; idempotent.
        MARK = Patch "/api/v1/notifications/{id}/read" User;
        /// The picture that a mail loads when it is opened; the same for an unknown mail.
        TRACK = Get "/api/v1/notifications/track/{id}" Open;
        /// Creates a notification of a user.
        CREATE = Post "/api/v1/admin/notifications" Policy::SUPPORT;
        /// A page of the notifications of all users, newest first.
        LIST_ALL = Get "/api/v1/admin/notifications" Policy::SUPPORT;
        /// A template of mails, filled with a sample.
        PREVIEW = Get "/api/v1/admin/notifications/preview/{template}" Policy::SUPPORT;
        /// A page of the messages and mails that were given up, newest first.
        LIST_DEAD = Get "/api/v1/admin/dead-letters" Policy::ADMIN;
        READ_DEAD = Get "/api/v1/admin/dead-letters/{id}" Policy::ADMIN;
        /// Sends the message or the mail again.
        REPLAY_DEAD = Post "/api/v1/admin/dead-letters/{id}/replay" Policy::ADMIN;
        /// Sets it aside for good.
        DISCARD_DEAD = Post "/api/v1/admin/dead-letters/{id}/discard" Policy::ADMIN;
        /// The endpoints that receive events, at most 50.
        LIST_WEBHOOKS = Get "/api/v1/admin/webhooks" Policy::ADMIN;
        /// Creates an endpoint; the answer alone contains its secret.
        CREATE_WEBHOOK = Post "/api/v1/admin/webhooks" Policy::ADMIN;
        READ_WEBHOOK = Get "/api/v1/admin/webhooks/{id}" Policy::ADMIN;
        /// Changes an endpoint; absent fields do not change.
        CHANGE_WEBHOOK = Patch "/api/v1/admin/webhooks/{id}" Policy::ADMIN;
        DELETE_WEBHOOK = Delete "/api/v1/admin/webhooks/{id}" Policy::ADMIN;
        /// Replaces the secret; the previous one stays valid for 24 hours.
        ROTATE_WEBHOOK_SECRET = Post "/api/v1/admin/webhooks/{id}/rotate-secret" Policy::ADMIN;
        /// Sends a test event.
        TEST_WEBHOOK = Post "/api/v1/admin/webhooks/{id}/test" Policy::ADMIN;
        /// A page of the deliveries of an endpoint, newest first.
        LIST_DELIVERIES = Get "/api/v1/admin/webhooks/{id}/deliveries" Policy::ADMIN;
        /// Sends a delivery again, whatever became of it.
        REDELIVER = Post "/api/v1/admin/webhooks/{id}/deliveries/{delivery}/redeliver" Policy::ADMIN;
        /// Sends the failed deliveries of a time again.
        REDRIVE_WEBHOOK = Post "/api/v1/admin/webhooks/{id}/redrive" Policy::ADMIN;
    }
}
