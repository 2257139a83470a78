// Puts the replay's page into Locust's tab of that name; Locust's own script draws the tabs and knows only tables.
(() => {
  const key = "replay";
  const frame = document.createElement("iframe");
  frame.src = `./${key}`;
  frame.title = "Replay";
  frame.style.cssText = "position:fixed;left:0;bottom:0;width:100%;border:0;display:none";
  document.body.append(frame);
  const show = () => {
    const tabs = document.querySelector("[role=tablist]");
    const wanted = tabs && new URLSearchParams(location.search).get("tab") === key;
    frame.style.display = wanted ? "block" : "none";
    if (wanted) frame.style.height = `${Math.max(innerHeight - tabs.getBoundingClientRect().bottom - 8, 200)}px`;
    // The host was checked before the first packet; what is typed here would be refused.
    for (const field of document.querySelectorAll("input[name=host]")) field.readOnly = true;
  };
  new MutationObserver(show).observe(document.getElementById("root"), { childList: true, subtree: true });
  addEventListener("resize", show);
  // Choosing a tab changes the address without an event.
  setInterval(show, 300);
})();
