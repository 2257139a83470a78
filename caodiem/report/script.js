// Chooses the language: the reader's last choice, else the browser's. Without this script the style sheet alone switches.
(function () {
  "use strict";
  var key = "caodiem-language";
  var choices = Array.from(document.getElementsByName("language"));

  function remembered() {
    // A browser may forbid storage to files; then nothing is remembered.
    try { return localStorage.getItem(key); } catch (error) { return null; }
  }

  function remember(language) {
    try { localStorage.setItem(key, language); } catch (error) { /* nothing to do */ }
  }

  function show(language) {
    choices.forEach(function (choice) { choice.checked = choice.value === language; });
    document.documentElement.lang = language;
    document.title = document.querySelector('article[lang="' + language + '"]').dataset.title;
  }

  choices.forEach(function (choice) {
    choice.addEventListener("change", function () { show(choice.value); remember(choice.value); });
  });
  var known = choices.map(function (choice) { return choice.value; });
  var wanted = [remembered(), (navigator.language || "").slice(0, 2), known[0]];
  show(wanted.find(function (language) { return known.includes(language); }));
  // Paper has nothing to click on: everything folded opens for it.
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (details) { details.open = true; });
  });
})();
