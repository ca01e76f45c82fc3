package org.squeezebert.app.ui

import android.os.Build
import android.view.View
import android.view.WindowInsets

/**
 * Keeps content clear of the system's bars, cut-outs and keyboard. From Android 15 on, the app
 * draws behind them; before, the system leaves their place free and there is nothing to do.
 *
 * @param tabs is hidden while the keyboard is up, where it lies [below] the screens.
 */
internal fun keepClear(root: View, tabs: View, below: Boolean) {
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.VANILLA_ICE_CREAM) return
    val tabsBottom = tabs.paddingBottom
    root.setOnApplyWindowInsetsListener { _, insets ->
        val bars = insets.getInsets(
            WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout(),
        )
        val keyboard = insets.getInsets(WindowInsets.Type.ime()).bottom
        val typing = below && keyboard > bars.bottom
        tabs.show(!typing)
        root.setPadding(bars.left, bars.top, bars.right, keyboard.takeIf { it > bars.bottom } ?: 0)
        if (below) {
            tabs.setPadding(
                tabs.paddingLeft,
                tabs.paddingTop,
                tabs.paddingRight,
                tabsBottom + bars.bottom,
            )
        } else if (keyboard <= bars.bottom) {
            root.setPadding(bars.left, bars.top, bars.right, bars.bottom)
        }
        WindowInsets.CONSUMED
    }
}
