//! Routes of the notification service.

use super::{
    ChangeWebhook, DeadLetter, Decision, DeliveriesQuery, LettersQuery, MarkRead, MarkedRead, NewNotification,
    NewWebhook, Notification, NotificationsQuery, PreviewQuery, Redrive, Redriven, Webhook, WebhookDelivery,
    WebhookWithSecret,
};
use crate::{
    Gif, HtmlOrText, IdempotencyKey, List,
    Policy::{self, Open, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Account {
        /// A page of the user's notifications, newest first.
        LIST = Get "/api/v1/notifications" User
            => with NotificationsQuery () -> 200 List<Notification>;
        /// Marks several of the user's notifications as read, or all of them.
        MARK_MANY = Patch "/api/v1/notifications/read" User
            => (MarkRead) -> 200 MarkedRead;
        /// Marks a notification as read; idempotent.
        MARK = Patch "/api/v1/notifications/{id}/read" User
            => () -> 200 Notification;
        /// The picture that a mail loads when it is opened; the same for an unknown mail.
        TRACK in Browsing = Get "/api/v1/notifications/track/{id}" Open
            => () -> 200 Gif;
        /// Creates a notification of a user.
        CREATE in Admin = Post "/api/v1/admin/notifications" Policy::SUPPORT
            => with IdempotencyKey (NewNotification) -> 201 Notification;
        /// A page of the notifications of all users, newest first.
        LIST_ALL in Admin = Get "/api/v1/admin/notifications" Policy::SUPPORT
            => with NotificationsQuery () -> 200 List<Notification>;
        /// A template of mails, filled with a sample.
        PREVIEW in Admin = Get "/api/v1/admin/notifications/preview/{template}" Policy::SUPPORT
            => with PreviewQuery () -> 200 HtmlOrText;
        /// A page of the messages and mails that were given up, newest first.
        LIST_DEAD in Admin = Get "/api/v1/admin/dead-letters" Policy::ADMIN
            => with LettersQuery () -> 200 List<DeadLetter>;
        READ_DEAD in Admin = Get "/api/v1/admin/dead-letters/{id}" Policy::ADMIN
            => () -> 200 DeadLetter;
        /// Sends the message or the mail again.
        REPLAY_DEAD in Admin = Post "/api/v1/admin/dead-letters/{id}/replay" Policy::ADMIN
            => (Decision) -> 200 DeadLetter;
        /// Sets it aside for good.
        DISCARD_DEAD in Admin = Post "/api/v1/admin/dead-letters/{id}/discard" Policy::ADMIN
            => (Decision) -> 200 DeadLetter;
        /// The endpoints that receive events, at most 50.
        LIST_WEBHOOKS in Admin = Get "/api/v1/admin/webhooks" Policy::ADMIN
            => () -> 200 List<Webhook>;
        /// Creates an endpoint; the answer alone contains its secret.
        CREATE_WEBHOOK in Admin = Post "/api/v1/admin/webhooks" Policy::ADMIN
            => with IdempotencyKey (NewWebhook) -> 201 WebhookWithSecret;
        READ_WEBHOOK in Admin = Get "/api/v1/admin/webhooks/{id}" Policy::ADMIN
            => () -> 200 Webhook;
        /// Changes an endpoint; absent fields do not change.
        CHANGE_WEBHOOK in Admin = Patch "/api/v1/admin/webhooks/{id}" Policy::ADMIN
            => (ChangeWebhook) -> 200 Webhook;
        DELETE_WEBHOOK in Admin = Delete "/api/v1/admin/webhooks/{id}" Policy::ADMIN
            => () -> 204;
        /// Replaces the secret; the previous one stays valid for 24 hours.
        ROTATE_WEBHOOK_SECRET in Admin = Post "/api/v1/admin/webhooks/{id}/rotate-secret" Policy::ADMIN
            => with IdempotencyKey () -> 200 WebhookWithSecret;
        /// Sends a test event.
        TEST_WEBHOOK in Admin = Post "/api/v1/admin/webhooks/{id}/test" Policy::ADMIN
            => with IdempotencyKey () -> 200 WebhookDelivery;
        /// A page of the deliveries of an endpoint, newest first.
        LIST_DELIVERIES in Admin = Get "/api/v1/admin/webhooks/{id}/deliveries" Policy::ADMIN
            => with DeliveriesQuery () -> 200 List<WebhookDelivery>;
        /// Sends a delivery again, whatever became of it.
        REDELIVER in Admin = Post "/api/v1/admin/webhooks/{id}/deliveries/{delivery}/redeliver" Policy::ADMIN
            => () -> 200 WebhookDelivery;
        /// Sends the failed deliveries of a time again.
        REDRIVE_WEBHOOK in Admin = Post "/api/v1/admin/webhooks/{id}/redrive" Policy::ADMIN
            => (Redrive) -> 200 Redriven;
    }
}
