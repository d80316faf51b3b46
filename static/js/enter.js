// Opening the link is enough for a person; a page that is only rendered ahead waits for them.

const form = document.getElementById('enter');
if (document.prerendering) {
  document.addEventListener('prerenderingchange', () => form.submit(), { once: true });
} else {
  form.submit();
}
