// Shows the messages of alerts, also while no page is open.

self.addEventListener('push', (event) => {
  const { title, body, url, tag } = event.data?.json() ?? {};
  if (!title) return;
  const icon = new URL('../icon.svg', self.location.href).href;
  event.waitUntil(self.registration.showNotification(title, { body, tag, icon, data: { url } }));
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const url = event.notification.data?.url ?? '/';
  event.waitUntil(self.clients.matchAll({ type: 'window' }).then((windows) => {
    const same = windows.find((each) => each.url === url);
    return same ? same.focus() : self.clients.openWindow(url);
  }));
});
